"""Lines that belong to a page and not to its text: cookies, navigation, rights; repeated lines.

Only texts of several lines lose lines, and never one within fenced code: a question such as “What
does ‘Accept all cookies’ mean?” stays.
"""

import hashlib
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LONGEST = 200  # characters; a longer line is no boilerplate
LETTERS = 4  # a line with fewer letters may stand in many rows and mean something in each
_FENCE = ("```", "~~~")
_ENGLISH = r"""
    skip\ to\ (?:main\ )?(?:content|navigation)
  | (?:this|our)\ (?:web)?site\ uses\ cookies\b.*
  | we\ (?:and\ our\ partners\ )?use\ cookies\b.*
  | by\ (?:continuing|using)\b.{0,60}\bcookies\b.*
  | (?:accept|reject|manage|allow)\ (?:all\ )?cookies(?:\ settings)?
  | cookie\ (?:policy|settings|preferences|notice)
  | (?:privacy\ policy|terms\ of\ (?:service|use)|terms\ (?:and|&)\ conditions)
        (?:\s*[|·•/]\s*.{0,80})?
  | (?:copyright\s*)?(?:©|\(c\))\s*(?:copyright\s*)?\d{4}\b.*
  | (?:.{0,80}[.,]?\s)?all\ rights\ reserved\.?
  | (?:home|about(?:\ us)?|contact(?:\ us)?|log\ ?in|sign\ ?(?:in|up)|menu|search|blog
        |news|faq|help)(?:\s*[|·•>»/]\s*[^|·•>»/]{1,30}){2,12}
  | (?:read|show|load|see|view)\ (?:more|less|all)\s*[.…»>→]*
  | (?:previous|next|back\ to\ top|click\ here|share\ this(?:\ (?:article|page|post))?)\s*[»>→«<←↑]*
  | (?:share|tweet|pin|follow\ us)\ on\ (?:facebook|twitter|x|linkedin|pinterest|whatsapp|instagram)
  | (?:subscribe|sign\ up)\ (?:to|for)\ (?:our\ )?(?:free\ )?newsletter\b.{0,60}
  | (?:advertisement|sponsored(?:\ content)?|related\ (?:articles|posts)
        |leave\ a\ (?:comment|reply))
  | please\ enable\ javascript\b.*
"""
_CHINESE = r"""
    (?:本网站|本站|我们).{0,6}使用.{0,10}(?:cookies?|Cookies?).*
  | (?:接受|拒绝|允许|管理)(?:所有|全部)?\s*cookies?(?:设置)?
  | (?:cookie\s*(?:政策|设置)|隐私(?:政策|声明|权政策)|服务条款|用户协议|免责声明)
        (?:\s*[|·•/]\s*.{0,80})?
  | (?:首页|关于我们|联系我们|网站地图|登录|注册|帮助中心)
        (?:\s*[|·•>»/]?\s*[^|·•>»/\s。，]{2,8}){2,12}
  | 版权所有.*|.{0,60}保留所有权利。?|.{0,40}ICP备\s?\d{4,12}号.*
  | (?:上一[页篇]|下一[页篇]|返回(?:顶部|首页|列表)|阅读(?:全文|更多|原文)
        |查看(?:全部|更多)|点击(?:查看|展开|加载)更多)
        (?:\s*[:：»>→].{0,60})?
  | (?:扫码|扫一扫|扫描二维码|长按二维码).{0,20}
  | (?:欢迎)?(?:关注|订阅)(?:我们的)?(?:微信)?公众号.{0,30}
  | (?:分享到|分享至|转发到)\s?[:：]?.{0,30}
  | (?:责任编辑|来源|编辑|责编)[:：].{1,30}
  | (?:相关(?:阅读|推荐|文章)|猜你喜欢|热门推荐|广告|发表评论|我要评论)[:：]?
"""
_PHRASES = re.compile(f"(?:{_ENGLISH}|{_CHINESE})", re.VERBOSE | re.IGNORECASE)


def is_phrase(line: str) -> bool:
    """Whether the line is one of cookies, navigation, rights and the like, Chinese or English."""
    line = line.strip(" \t-–—*#>|·•[]()【】")
    return 0 < len(line) <= LONGEST and _PHRASES.fullmatch(line) is not None


def lines_drop(text: str, drops: Callable[[str], bool]) -> str:
    """The text without the lines that are to go; a text of one line as it is."""
    if "\n" not in text:
        return text
    kept = []
    fenced = False
    for line in text.split("\n"):
        if line.lstrip().startswith(_FENCE):
            fenced = not fenced
        elif not fenced and drops(line):
            continue
        kept.append(line)
    return "\n".join(kept)


class RepeatedLines:
    """Finds lines that stand in many rows: first each row is shown to it, then it is asked.

    Takes eight bytes for each different line of a row, in a file and, while they are counted, in
    memory.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file = path.open("wb", buffering=1 << 20)
        self._often: NDArray[np.uint64] | None = None

    def see(self, texts: Iterable[str]) -> None:
        """The texts of one row. A line counts once a row."""
        marks: set[bytes] = set()

        def look(line: str) -> bool:
            if _counts(line):
                marks.add(_mark(line))
            return False

        for text in texts:
            lines_drop(text, look)
        self._file.write(b"".join(marks))

    def count(self, rows: int) -> None:
        """All rows were seen; lines of at least so many of them are repeated ones."""
        import numpy as np

        self._file.close()
        marks = np.fromfile(self._path, dtype="<u8")
        self._path.unlink()
        marks.sort()
        if len(marks) >= rows:
            repeated = marks[rows - 1 :] == marks[: len(marks) - rows + 1]
            self._often = np.unique(marks[rows - 1 :][repeated])

    def repeated(self, line: str) -> bool:
        """Whether the line stands in many rows."""
        if self._often is None or not len(self._often) or not _counts(line):
            return False
        mark = self._often.dtype.type(int.from_bytes(_mark(line), "little"))
        place = int(self._often.searchsorted(mark))
        return place < len(self._often) and bool(self._often[place] == mark)


def _counts(line: str) -> bool:
    line = line.strip()
    return len(line) <= LONGEST and sum(sign.isalpha() for sign in line) >= LETTERS


def _mark(line: str) -> bytes:
    plain = " ".join(line.split()).casefold()
    return hashlib.blake2b(plain.encode("utf-8", "replace"), digest_size=8).digest()
