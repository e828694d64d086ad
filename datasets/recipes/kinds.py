"""The kinds of steps: names, words for people, parameters and functions."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy

from common.errors import DomainError
from common.phrases import gettext as _
from datasets.recipes.clean import clean
from datasets.recipes.duplicates import deduplicate
from datasets.recipes.masking import mask
from datasets.recipes.parameters import (
    Choice,
    Flag,
    Number,
    Parameter,
    Pattern,
    Refused,
    Several,
    Text,
    parameters_checked,
)
from datasets.recipes.rows import Row, Work
from datasets.recipes.sampling import sample, split

STEPS_MAX = 20
ROWS_MAX = 10**9

MASKED: dict[str, Text] = {
    "email": gettext_lazy("E-mail addresses"),
    "phone": gettext_lazy("Phone numbers"),
    "id_card": gettext_lazy("Chinese identity cards"),
    "bank_card": gettext_lazy("Bank cards"),
    "ip": gettext_lazy("IP addresses"),
    "key": gettext_lazy("Keys and tokens"),
}
REASONS: dict[str, Text] = {
    "too_short": gettext_lazy("too short"),
    "too_long": gettext_lazy("too long"),
    "repetitive": gettext_lazy("too repetitive"),
    "symbols": gettext_lazy("too many signs"),
    "pattern": gettext_lazy("by the pattern"),
    "duplicate": gettext_lazy("said before"),
    "near_duplicate": gettext_lazy("nearly said before"),
    "not_sampled": gettext_lazy("not drawn"),
}
PARTS: dict[str, Text] = {"train": gettext_lazy("Training"), "test": gettext_lazy("Test")}


@dataclass(frozen=True)
class Kind:
    """A kind of step."""

    name: str
    label: Text
    text: Text
    icon: str
    parameters: tuple[Parameter, ...]
    run: Callable[[Iterator[Row], Work, Mapping[str, Any]], Iterator[Row]]

    def defaults(self) -> dict[str, Any]:
        """The parameters of a new step."""
        return {one.name: one.default for one in self.parameters}


_KINDS = (
    Kind(
        "clean",
        gettext_lazy("Clean"),
        gettext_lazy("Repairs texts; drops rows that are too short, too long or noise."),
        "brush-cleaning",
        (
            Flag(
                "encoding",
                gettext_lazy("Repair encodings"),
                True,
                gettext_lazy("cafÃ© becomes café."),
            ),
            Flag("unicode", gettext_lazy("One form of each letter (Unicode NFC)"), True),
            Flag("space", gettext_lazy("Tidy white space"), True),
            Flag(
                "markup",
                gettext_lazy("Strip HTML"),
                False,
                gettext_lazy("Fenced code stays as it is."),
            ),
            Number(
                "min_chars",
                gettext_lazy("Fewest characters"),
                None,
                most=ROWS_MAX,
                whole=True,
                optional=True,
            ),
            Number(
                "max_chars",
                gettext_lazy("Most characters"),
                None,
                most=ROWS_MAX,
                whole=True,
                optional=True,
            ),
            Number(
                "max_repetition",
                gettext_lazy("Most repetition"),
                None,
                gettext_lazy(
                    "The share of stretches of ten characters that occurred before, 0 to 1."
                ),
                optional=True,
            ),
            Number(
                "max_symbols",
                gettext_lazy("Most signs"),
                None,
                gettext_lazy("The share of signs that are neither letters nor digits, 0 to 1."),
                optional=True,
            ),
            Pattern(
                "pattern",
                gettext_lazy("Pattern"),
                "",
                gettext_lazy("A regular expression that is looked for in the texts of a row."),
            ),
            Choice(
                "pattern_drops",
                gettext_lazy("The pattern drops"),
                "matching",
                when=("pattern", True),
                choices=(
                    ("matching", gettext_lazy("rows that have it")),
                    ("others", gettext_lazy("rows that do not have it")),
                ),
            ),
        ),
        clean,
    ),
    Kind(
        "deduplicate",
        gettext_lazy("Deduplicate"),
        gettext_lazy("Keeps the first of rows that say the same, or nearly the same."),
        "copy-minus",
        (
            Choice(
                "mode",
                gettext_lazy("Duplicates are"),
                "near",
                choices=(
                    ("exact", gettext_lazy("rows with the same texts")),
                    ("near", gettext_lazy("rows that are much alike")),
                ),
            ),
            Number(
                "threshold",
                gettext_lazy("Similarity from"),
                0.8,
                gettext_lazy("The share of what two rows have in common, 0.5 to 1."),
                when=("mode", "near"),
                least=0.5,
                most=1,
            ),
        ),
        deduplicate,
    ),
    Kind(
        "mask",
        gettext_lazy("Mask"),
        gettext_lazy("Puts placeholders such as [EMAIL_1] in the place of personal data."),
        "venetian-mask",
        (
            Several(
                "kinds", gettext_lazy("What is masked"), list(MASKED), choices=tuple(MASKED.items())
            ),
        ),
        mask,
    ),
    Kind(
        "sample",
        gettext_lazy("Sample"),
        gettext_lazy("Draws some of the rows, the same ones with the same seed."),
        "dices",
        (
            Choice(
                "by",
                gettext_lazy("How many"),
                "number",
                choices=(
                    ("number", gettext_lazy("a number of rows")),
                    ("share", gettext_lazy("a share of the rows")),
                ),
            ),
            Number(
                "number",
                gettext_lazy("Number of rows"),
                1000,
                when=("by", "number"),
                least=1,
                most=ROWS_MAX,
                whole=True,
            ),
            Number("share", gettext_lazy("Share"), 0.1, when=("by", "share"), least=0.0001, most=1),
        ),
        sample,
    ),
    Kind(
        "split",
        gettext_lazy("Split"),
        gettext_lazy("Parts training and test; rows with the same texts stay together."),
        "split",
        (Number("test_share", gettext_lazy("Share of the test part"), 0.1, least=0.001, most=0.9),),
        split,
    ),
)
KINDS: dict[str, Kind] = {kind.name: kind for kind in _KINDS}


def steps_checked(steps: Any) -> list[dict[str, Any]]:
    """The steps complete with defaults. DomainError names the step and the parameter to blame."""
    if not isinstance(steps, list) or not steps:
        raise _refusal(None, "", _("A recipe needs at least one step."))
    if len(steps) > STEPS_MAX:
        raise _refusal(None, "", _("A recipe has at most %(limit)s steps.") % {"limit": STEPS_MAX})
    found = [_checked(place, step) for place, step in enumerate(steps)]
    for place, step in enumerate(found[:-1]):
        if step["kind"] == "split":
            raise _refusal(place, "", _("A split must be the last step."))
    return found


def _checked(place: int, step: Any) -> dict[str, Any]:
    name = step.get("kind") if isinstance(step, dict) else None
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        words = ", ".join(KINDS)
        raise _refusal(place, "kind", _("Choose one of: %(words)s.") % {"words": words})
    given = step.get("parameters", {})
    if not isinstance(given, dict) or set(step) - {"kind", "parameters"}:
        raise _refusal(place, "", _("A step has a “kind” and an object of “parameters”."))
    try:
        parameters = parameters_checked(kind.parameters, given)
    except Refused as refused:
        raise _refusal(place, refused.name, refused.reason) from refused
    least, most = parameters.get("min_chars"), parameters.get("max_chars")
    if least is not None and most is not None and least > most:
        raise _refusal(place, "max_chars", _("The most cannot be less than the fewest."))
    return {"kind": kind.name, "parameters": parameters}


def _refusal(place: int | None, parameter: str, reason: str) -> DomainError:
    message = reason
    if place is not None:
        message = _("Step %(number)s: %(reason)s") % {"number": place + 1, "reason": reason}
    data: dict[str, object] = {"reason": reason}
    if place is not None:
        data |= {"step": place + 1, "parameter": parameter}
    return DomainError(message, field="steps", code="steps", data=data)


def splits(steps: list[dict[str, Any]]) -> bool:
    """Whether the recipe has two outcomes."""
    return bool(steps) and steps[-1]["kind"] == "split"
