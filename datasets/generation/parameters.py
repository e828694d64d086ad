"""Parameters of a question that some servers do not take, and how it is put to those."""

import re
from collections.abc import Collection, Mapping
from typing import Any

from common.phrases import gettext as _

SAID_READ = 4096  # characters of a refusal that are looked at
_INSTEAD = {"max_tokens": "max_completion_tokens", "temperature": "", "stream_options": ""}
_NOT_TAKEN = (
    r"(?:unsupported|unknown|unrecogni[sz]ed|unexpected|extraneous|extra_forbidden|deprecated"
    r"|(?:not|n't) (?:support|permitted|allowed|recogni[sz]ed|accept)"
    r"|only (?:the default|[\d.]+ is allowed)|不支持|不允许|未知|无法识别)"
)
_NEAR = r"(?:(?![.;]\s).){0,60}?"  # within the same sentence
_REST = r"(?:(?!\.\s)[^}]){0,80}"
_REFUSALS = {
    name: re.compile(
        rf"(?:{_NOT_TAKEN}{_NEAR}\b{name}\b|\b{name}\b{_NEAR}{_NOT_TAKEN}){_REST}",
        re.ASCII | re.IGNORECASE,
    )
    for name in _INSTEAD
}
_BOUNDS = re.compile(  # what follows the name of a parameter that is taken, with other values
    r"\bat (?:most|least)\b|\b(?:max|min)imum\b|\branges?\b|\bbetween\b|\blimit\b|\bexceed"
    r"|\b(?:less|greater|larger|more|smaller) than\b|\d\s*\.\."
    r"|[≤≥]|[<>]=|最[大小多]|超过|范围|之间",
    re.ASCII | re.IGNORECASE,
)


def not_taken(said: str, question: Mapping[str, Any]) -> frozenset[str]:
    """The parameters of the question that a refusal names as unknown or unsupported; not those of
    which it names the values that are allowed.
    """
    return frozenset(
        name
        for name, refusal in _REFUSALS.items()
        if name in question
        and any(not _BOUNDS.search(one[0]) for one in refusal.finditer(said[:SAID_READ]))
    )


def put_without(question: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """The question with other parameters in the place of these, or with none."""
    return {
        _INSTEAD[name] if name in names else name: value
        for name, value in question.items()
        if name not in names or _INSTEAD[name]
    }


def change_told(label: str, name: str) -> str:
    """The sentence about that for people."""
    values = {"label": label, "name": name, "instead": _INSTEAD[name]}
    if _INSTEAD[name]:
        return _("%(label)s does not take %(name)s: it gets %(instead)s from now on.") % values
    return _("%(label)s does not take %(name)s: it is asked without from now on.") % values
