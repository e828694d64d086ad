"""Names of files and of what is made of them, in any script."""

import unicodedata

NAME_MAX = 250  # letters of a file's name with its folders
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # control, format, halves, ends of lines
_JOINERS = frozenset("\u200c\u200d")  # which Persian, Indic scripts and emoji are spelled with


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
