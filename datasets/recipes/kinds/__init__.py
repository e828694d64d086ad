"""The kinds of steps, and steps as people write them."""

from typing import Any

from common.errors import DomainError
from common.phrases import gettext as _
from datasets.recipes.kind import Kind
from datasets.recipes.kinds.asking import GENERATE, JUDGE, REWRITE
from datasets.recipes.kinds.cleaning import CLEAN, DEDUPLICATE, MASK
from datasets.recipes.kinds.drawing import MIX, SAMPLE, SPLIT
from datasets.recipes.kinds.grouping import GROUP
from datasets.recipes.kinds.shaping import AUGMENT, CHUNK, CONVERT
from datasets.recipes.parameters import Model, Refused, Versions, parameters_checked
from datasets.recipes.words import PARTS

STEPS_MAX = 20
KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        CLEAN,
        DEDUPLICATE,
        MASK,
        CONVERT,
        GROUP,
        CHUNK,
        GENERATE,
        REWRITE,
        JUDGE,
        AUGMENT,
        MIX,
        SAMPLE,
        SPLIT,
    )
}


def steps_checked(steps: Any) -> list[dict[str, Any]]:
    """The steps complete with defaults. DomainError names the step and the parameter to blame."""
    if not isinstance(steps, list) or not steps:
        raise step_refusal(None, "", _("A recipe needs at least one step."))
    if len(steps) > STEPS_MAX:
        raise step_refusal(
            None, "", _("A recipe has at most %(limit)s steps.") % {"limit": STEPS_MAX}
        )
    found = [_checked(place, step) for place, step in enumerate(steps)]
    for place, step in enumerate(found[:-1]):
        if step["kind"] == SPLIT.name:
            raise step_refusal(place, "", _("A split must be the last step."))
    return found


def _checked(place: int, step: Any) -> dict[str, Any]:
    name = step.get("kind") if isinstance(step, dict) else None
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        words = ", ".join(KINDS)
        raise step_refusal(place, "kind", _("Choose one of: %(words)s.") % {"words": words})
    given = step.get("parameters", {})
    if not isinstance(given, dict) or set(step) - {"kind", "parameters"}:
        raise step_refusal(place, "", _("A step has a “kind” and an object of “parameters”."))
    try:
        parameters = parameters_checked(kind.parameters, given)
        kind.check(parameters)
    except Refused as refused:
        raise step_refusal(place, refused.name, refused.reason) from refused
    return {"kind": kind.name, "parameters": parameters}


def step_refusal(place: int | None, parameter: str, reason: str) -> DomainError:
    """What is wrong with the step at this place (from 0), and which parameter is to blame."""
    message = reason
    if place is not None:
        message = _("Step %(number)s: %(reason)s") % {"number": place + 1, "reason": reason}
    data: dict[str, object] = {"reason": reason}
    if place is not None:
        data |= {"step": place + 1, "parameter": parameter}
    return DomainError(message, field="steps", code="steps", data=data)


def shares_of(steps: list[dict[str, Any]]) -> dict[str, float]:
    """The parts that the recipe makes and their shares; none where it makes one whole."""
    if not steps or steps[-1]["kind"] != SPLIT.name:
        return {}
    given = SPLIT.complete(steps[-1]["parameters"])
    shares = {"validation": given["validation_share"], "test": given["test_share"]}
    shares["train"] = 1 - sum(shares.values())
    return {part: shares[part] for part in PARTS if shares[part]}


def reads_any(steps: list[dict[str, Any]]) -> bool:
    """Whether the recipe takes rows whose columns nobody has named yet."""
    if not steps:
        return False
    first = steps[0]
    by_columns = first["kind"] == CONVERT.name and first["parameters"]["source"] == "columns"
    return by_columns or bool(first["kind"] == GROUP.name)


def versions_named(steps: list[dict[str, Any]]) -> dict[str, tuple[int, str]]:
    """Ids of the further versions that checked steps read, with the step's place and parameter."""
    return {
        one["version"]: (place, parameter.name)
        for place, step in enumerate(steps)
        for parameter in KINDS[step["kind"]].parameters
        if isinstance(parameter, Versions)
        for one in step["parameters"].get(parameter.name, [])
    }


def models_named(steps: list[dict[str, Any]]) -> dict[str, tuple[int, str]]:
    """The models that checked steps ask, with the first step's place and parameter."""
    return {
        step["parameters"][parameter.name]: (place, parameter.name)
        for place, step in reversed(list(enumerate(steps)))
        for parameter in KINDS[step["kind"]].parameters
        if isinstance(parameter, Model)
    }


def likeness_asked(steps: list[dict[str, Any]]) -> bool:
    """Whether a step drops new rows that are too close to their origin, or too far from it."""
    names = {one.name for step in steps for one in KINDS[step["kind"]].parameters}
    return "most_alike" in names


def asking_from(steps: list[dict[str, Any]]) -> int | None:
    """The place of the first step that asks a model; None where none does."""
    return min((place for place, _parameter in models_named(steps).values()), default=None)
