"""A guess of shape, columns and role names from the first rows, and how sure it is."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import orjson

from datasets.shapes.findings import kind_of
from datasets.shapes.mapping import OPENAI_TAGS, SHAREGPT_TAGS, Mapping

SAMPLE = 200
SURE = 0.8  # from here on the guess is taken without asking
NAMES = {
    "prompt": ("instruction", "prompt", "question", "query", "ask", "问题", "指令", "提问"),
    "query": ("input", "context", "输入"),
    "response": (
        "output",
        "response",
        "answer",
        "completion",
        "reply",
        "target",
        "回答",
        "答案",
        "输出",
    ),
    "history": ("history", "历史"),
    "messages": ("conversations", "messages", "conversation", "dialogue", "dialog", "chat"),
    "system": ("system", "system_prompt"),
    "tools": ("tools", "functions"),
    "chosen": ("chosen", "preferred", "better", "accepted"),
    "rejected": ("rejected", "dispreferred", "worse"),
    "kto_tag": ("kto_tag", "label", "desirable", "is_good", "good"),
    "text": ("text", "content", "document", "文本", "内容"),
}
ROLE_NAMES = {
    "user_tag": (
        *("human", "user", "prompter", "customer", "client", "visitor", "guest", "caller", "buyer"),
        *("requester", "end-user", "用户", "客户", "顾客", "访客", "买家", "来电人"),
    ),
    "assistant_tag": (
        *("gpt", "assistant", "bot", "model", "chatgpt", "ai", "agent", "operator", "advisor"),
        *("support", "representative", "staff", "seller", "助手", "客服", "坐席", "座席"),
        *("人工客服", "机器人", "卖家", "商家", "店家"),
    ),
    "observation_tag": ("observation", "tool", "tool_response", "function_response", "ipython"),
    "function_tag": ("function_call", "tool_call", "function"),
    "system_tag": ("system", "系统", "系统消息"),
}
ROLE_KEYS = ("from", "role", "speaker", "author")
CONTENT_KEYS = ("value", "content", "text", "message")


def role_usual(name: str) -> str:
    """Our name of a role by a usual one in small letters: user, assistant, system, or empty."""
    for role in ("user", "assistant", "system"):
        if name in ROLE_NAMES[f"{role}_tag"]:
            return role
    return ""


@dataclass(frozen=True)
class Guess:
    """A mapping (of an empty shape when nothing fits) and its certainty from 0 to 1."""

    mapping: Mapping
    certainty: float

    @property
    def sure(self) -> bool:
        """Whether it may be used without asking."""
        return self.certainty >= SURE


class _Columns:
    """What the first rows hold in each column."""

    def __init__(self, rows: Iterable[Any], *, from_csv: bool) -> None:
        self.kinds: dict[str, Counter[str]] = {}
        self.values: dict[str, list[Any]] = {}
        self.rows = 0
        for row in rows:
            if not isinstance(row, dict):
                continue
            self.rows += 1
            for name, found in row.items():
                value = _cell(found) if from_csv else found
                self.kinds.setdefault(str(name), Counter())[kind_of(value)] += 1
                self.values.setdefault(str(name), []).append(value)

    def of_kind(self, *kinds: str) -> list[str]:
        """Columns of which more values are of these kinds than of any other; of kinds that are
        equally frequent the first one counts.
        """
        found = []
        for name, counts in self.kinds.items():
            filled = Counter({kind: count for kind, count in counts.items() if kind != "nothing"})
            if filled and filled.most_common(1)[0][0] in kinds:
                found.append(name)
        return found

    def named(self, key: str, *kinds: str) -> str | None:
        """The column of one of the usual names that has one of the kinds."""
        lower = {name.lower(): name for name in self.of_kind(*kinds)}
        return next((lower[name] for name in NAMES[key] if name in lower), None)


def _cell(value: Any) -> Any:
    """A CSV cell as the value that its text stands for, where it could be one of ours."""
    if isinstance(value, str):
        if value.strip().lower() in {"true", "false"}:
            return value.strip().lower() == "true"
        if value.lstrip()[:1] in {"[", "{"}:
            try:
                return orjson.loads(value)
            except orjson.JSONDecodeError:
                return value
    return value


def guess(rows: list[Any], *, from_csv: bool = False) -> Guess:
    """The likeliest mapping of a file by its first rows."""
    columns = _Columns(rows, from_csv=from_csv)
    found = _by_messages(columns) or _by_columns(columns)
    if found is None:
        return Guess(Mapping("", {}, {}, from_csv), 0.0)
    shape, named, tags, certainty = found
    return Guess(Mapping.of(shape, named, tags, from_csv=from_csv), certainty)


Found = tuple[str, dict[str, str], dict[str, str], float]


def _by_messages(columns: _Columns) -> Found | None:
    lists = [
        name
        for name in columns.of_kind("list")
        if any(_is_messages(value) for value in columns.values[name])
    ]
    name = columns.named("messages", "list")
    if name is None or name not in lists:
        name = next((one for one in lists if one.lower() not in NAMES["tools"]), None)
    if name is None:
        return None
    tags, certainty = _tags(columns.values[name])
    named = {"messages": name} | _extras(columns)
    chosen, rejected = columns.named("chosen", "object"), columns.named("rejected", "object")
    marked = columns.named("kto_tag", "boolean")
    if chosen and rejected:
        return "preference", named | {"chosen": chosen, "rejected": rejected}, tags, certainty
    if marked:
        return "kto", named | {"kto_tag": marked}, tags, certainty
    shape = "openai" if tags["role_tag"] == "role" else "sharegpt"
    return shape, named, tags, certainty


def _by_columns(columns: _Columns) -> Found | None:
    prompt = columns.named("prompt", "text")
    response = columns.named("response", "text")
    query = columns.named("query", "text")
    history = columns.named("history", "list")
    if prompt is None and query is not None:
        prompt, query = query, None
    named = {"prompt": prompt, "query": query, "history": history} | _extras(columns)
    kept = {key: column for key, column in named.items() if column}
    chosen, rejected = columns.named("chosen", "text"), columns.named("rejected", "text")
    marked = columns.named("kto_tag", "boolean")
    if prompt and chosen and rejected:
        return "preference", kept | {"chosen": chosen, "rejected": rejected}, {}, 1.0
    if prompt and response and marked:
        return "kto", kept | {"response": response, "kto_tag": marked}, {}, 1.0
    if prompt and response:
        return "alpaca", kept | {"response": response}, {}, 1.0
    texts = columns.of_kind("text")
    text = columns.named("text", "text")
    if text and not prompt and not response:
        return "text", {"prompt": text}, {}, 1.0 if text.lower() == "text" else 0.6
    if len(texts) == 1 and len(columns.kinds) == 1:
        return "text", {"prompt": texts[0]}, {}, 0.5
    if len(texts) == 2:
        return "alpaca", {"prompt": texts[0], "response": texts[1]}, {}, 0.5
    return None


def _extras(columns: _Columns) -> dict[str, str]:
    found = {
        "system": columns.named("system", "text"),
        "tools": columns.named("tools", "text", "list"),
    }
    return {key: column for key, column in found.items() if column}


def _is_messages(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)


def _tags(values: list[Any]) -> tuple[dict[str, str], float]:
    """Keys and role names by what the messages hold, and how sure they are."""
    messages = [one for value in values if _is_messages(value) for one in value]
    keys = Counter(key for one in messages for key, found in one.items() if isinstance(found, str))
    role_key = next((key for key in ROLE_KEYS if keys[key]), "")
    content_key = next((key for key in CONTENT_KEYS if keys[key] and key != role_key), "")
    usual = OPENAI_TAGS if role_key == "role" else SHAREGPT_TAGS
    tags = dict(usual) | {
        "role_tag": role_key or usual["role_tag"],
        "content_tag": content_key or usual["content_tag"],
    }
    roles = Counter(
        one[role_key] for one in messages if role_key and isinstance(one.get(role_key), str)
    )
    for tag, names in ROLE_NAMES.items():
        if tags[tag] in roles:
            continue
        name = next((role for role in roles if role.lower() in names), None)
        if name is not None and name not in tags.values():
            tags[tag] = name
    known = sum(count for role, count in roles.items() if role in tags.values())
    share = known / max(sum(roles.values()), 1)
    return tags, share if role_key and content_key else 0.3
