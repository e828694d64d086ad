"""Whether rows hold one message of a conversation each, and which columns say so."""

import re
from collections import Counter
from typing import Any

from datasets.shapes.detect import role_usual

NAMES = {
    "conversation": (
        *("conversation", "session", "chat", "thread", "dialog", "dialogue", "ticket", "talk"),
        *("room", "case", "conv", "channel", "会话", "对话", "聊天", "工单", "房间"),
    ),
    "role": (
        *("role", "speaker", "sender", "from", "author", "sendertype", "sendername", "fromname"),
        *("speakerrole", "authorrole", "usertype", "who", "角色", "发送人", "发送者", "发送方"),
        *("发言人", "说话人", "昵称", "发信人"),
    ),
    "content": (
        *("text", "content", "message", "body", "msg", "utterance", "messagetext", "msgcontent"),
        *("内容", "消息", "文本", "消息内容", "聊天内容", "发言内容"),
    ),
    "order": (
        *("timestamp", "time", "createdat", "created", "sentat", "datetime", "date", "sendtime"),
        *("createtime", "turn", "turnid", "turnindex", "seq", "sequence", "index", "order"),
        *("messageindex", "ts", "时间", "发送时间", "日期", "消息时间", "序号", "轮次"),
    ),
}
SPEAKERS_MAX = 12  # whose sides are proposed one by one
NAME_MAX = 80  # characters of a speaker
_SIGNS = re.compile(r"[\W_]+")
_ENDS = re.compile(r"(?:id|key|no|number|编号|号|标识)$")


def talks_guess(rows: list[Any]) -> dict[str, Any] | None:
    """What the step that groups messages would be told, by the first rows; None when they do not
    look like messages: one conversation at least must have several rows.
    """
    rows = [row for row in rows if isinstance(row, dict)]
    columns = {name: _SIGNS.sub("", str(name).lower()) for row in rows for name in row}
    found: dict[str, Any] = {}
    for key, names in NAMES.items():
        fits = (name for wanted in names for name in columns if _is(columns[name], wanted, key))
        found[key] = next((name for name in fits if name not in found.values()), "")
    if not found["conversation"] or not found["role"] or not found["content"]:
        return None
    talks, speakers, texts = (
        _filled(rows, found[key]) for key in ("conversation", "role", "content")
    )
    named = all(isinstance(one, str) and len(one) <= NAME_MAX for one in speakers)
    if not named or not all(isinstance(one, str) for one in texts):
        return None
    if not talks or not all(isinstance(one, str | int) for one in talks):
        return None
    if Counter(talks).most_common(1)[0][1] < 2 or len(set(speakers)) < 2:
        return None
    return found | _sides(rows, found)


def _is(plain: str, wanted: str, key: str) -> bool:
    return plain == wanted or (key == "conversation" and _ENDS.sub("", plain) == wanted)


def _filled(rows: list[Any], name: str) -> list[Any]:
    cells = (row.get(name) for row in rows)
    return [cell for cell in cells if cell is not None and cell != ""]


def _sides(rows: list[Any], found: dict[str, Any]) -> dict[str, str]:
    """Who the assistant is: whoever is called so, or else who speaks in the most conversations."""
    met: dict[str, set[str]] = {}
    for row in rows:
        cell = row.get(found["role"])
        if isinstance(cell, str) and cell.strip():
            met.setdefault(cell.strip(), set()).add(str(row.get(found["conversation"])))
    sides = {name: role_usual(name.casefold()) for name in met}
    if "assistant" not in sides.values():
        ours = [name for name, side in sides.items() if not side]
        sides |= dict.fromkeys(sorted(ours, key=lambda one: -len(met[one]))[:1], "assistant")
    named = [(name, side) for name, side in sides.items() if side and "\n" not in name]
    others = "user" if "user" not in sides.values() else "drop"
    return {
        "roles": "\n".join(f"{name} = {side}" for name, side in named[:SPEAKERS_MAX]),
        "others": others,
    }
