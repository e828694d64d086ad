"""Which language a row is written in."""

import re
from functools import cache

from datasets.recipes.languages import Recogniser

LANGUAGES = ("", "zh", "en", "mixed", "other")  # in the order of their numbers in `facts.bin`
LOOKED_AT = 2000  # characters of a row
_ASKED = 400  # of these given to the detector
_MIXED = 0.2  # the smaller language's share of the words from which on a row counts as mixed
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_KANA_HANGUL = re.compile("[\u3040-\u30ff\uac00-\ud7af]")
_LATIN = re.compile("[A-Za-z\u00c0-\u024f]{2,}")
_HAN_PER_WORD = 1.5  # Han characters that say about as much as a Latin word
_FEW = 3  # words; fewer of another language are names


def language_of(text: str) -> str:
    """`zh`, `en`, `mixed` (Chinese and words in Latin letters), `other`; empty without letters.

    A few names and terms in another script make no text mixed.
    """
    text = text[:LOOKED_AT]
    han = len(_HAN.findall(text)) / _HAN_PER_WORD
    latin = len(_LATIN.findall(text))
    if len(_KANA_HANGUL.findall(text)) > han / 5:
        return "other"
    less, total = min(han, latin), han + latin
    if less > _FEW and less / total >= _MIXED:
        return "mixed"
    if not any(sign.isalpha() for sign in text):
        return ""
    if han > latin:
        return "zh"
    found = _recogniser().language(" ".join(text[:_ASKED].split()), sure=0.0)
    return "en" if found == "en" else "other"


@cache
def _recogniser() -> Recogniser:
    return Recogniser()
