"""What a reader may choose of a version's rows, in words and in addresses."""

from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from common.texts import whole
from datasets.recipes.languages import LANGUAGES as RECOGNISED
from datasets.recipes.parameters import Text
from datasets.statistics.choosing import CUT, FLAGS, ORDERS, Choice
from datasets.statistics.languages import LANGUAGES

CUTOFF = 2048  # tokens, where the reader names no other limit
FLAG_NAMES: dict[str, Promise] = {
    "dropped": gettext_lazy("dropped by the engine"),
    "warned": gettext_lazy("kept with a finding"),
    "cut": gettext_lazy("would be cut"),
    "duplicate": gettext_lazy("exact duplicates"),
    "near": gettext_lazy("near duplicates"),
    "personal": gettext_lazy("with personal data"),
}
LANGUAGE_NAMES: dict[str, Text] = {
    **RECOGNISED,
    "mixed": gettext_lazy("Chinese and others mixed"),
    "other": gettext_lazy("other languages"),
    "unsure": gettext_lazy("not sure"),
    "": gettext_lazy("no letters"),
}
ORDER_NAMES: dict[str, Promise] = {
    "short": gettext_lazy("shortest first"),
    "long": gettext_lazy("longest first"),
}

DECISION_NAMES: dict[str, Promise] = {
    "any": gettext_lazy("decided on"),
    "rated": gettext_lazy("rated"),
    "changed": gettext_lazy("changed"),
    "excluded": gettext_lazy("left out"),
}


def choice_of(asked: Mapping[str, str]) -> Choice:
    """The choice that an address names; what it does not know it leaves out."""
    flag, language, order = (asked.get(name, "") for name in ("flag", "language", "order"))
    return Choice(
        flag=flag if flag in FLAGS or flag == CUT else "",
        language=language if language in LANGUAGES else "",
        shortest=whole(asked.get("shortest", "")),
        longest=whole(asked.get("longest", "")),
        order=order if order in ORDERS else "",
        cutoff=whole(asked.get("cutoff", "")) or CUTOFF,
    )
