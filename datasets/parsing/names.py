"""Names of files and of what is made of them, in any script."""

import contextlib
import unicodedata

NAME_MAX = 250  # letters of a file's name with its folders
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # control, format, halves, ends of lines
_JOINERS = frozenset("\u200c\u200d")  # which Persian, Indic scripts and emoji are spelled with


def meant(name: str, read_as: str) -> str:
    """A name in an archive that does not say in what it is written, as it was meant: UTF-8, else
    the GBK of older Chinese programs, else what was read, in the encoding `read_as`.
    """
    for encoding in ("utf-8", "gb18030"):
        with contextlib.suppress(UnicodeError):
            return name.encode(read_as, "surrogateescape").decode(encoding)
    return name


def is_showable(text: str) -> bool:
    """Whether a text shows in one line as what it is: every space is welcome, signs that move or
    hide others are not.
    """
    return not any(_is_unseen(sign) for sign in text)


def shown(text: str, most: int) -> str:
    """The text with what cannot be shown as numbers, and cut to so many letters."""
    told = "".join(
        sign.encode("unicode_escape").decode() if _is_unseen(sign) else sign for sign in text
    )
    return told if len(told) <= most else f"{told[: most - 1]}…"


def _is_unseen(sign: str) -> bool:
    return unicodedata.category(sign) in _UNSEEN and sign not in _JOINERS
