"""Steps, what they did, and where versions come from, as people read it."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.utils.translation import gettext_lazy

from accounts.models import User
from datasets.models import DatasetVersion
from datasets.recipes.kinds import KINDS, models_named, versions_named
from datasets.recipes.parameters import Choice, Flag, Model, Parameter, Several, Text, Versions
from datasets.recipes.words import MADE, MASKED, PARTED, PARTS, REASONS, VARIED
from datasets.services.asking import model_names


@dataclass(frozen=True)
class StepShown:
    """A step: its number from 1, its name and sign, its settings, and what it did if it ran."""

    number: int
    label: Text
    icon: str
    settings: list[tuple[Text, Any]]
    rows_in: int | None = None
    rows_out: int | None = None
    counts: list[tuple[Text, int]] = field(default_factory=list)
    examples: list[dict[str, Any]] = field(default_factory=list)


def steps_shown(
    steps: list[dict[str, Any]],
    report: list[dict[str, Any]] | None = None,
    *,
    reader: User | AnonymousUser,
) -> list[StepShown]:
    """The steps in order, with what they did where there is a report, as somebody may see them."""
    names = _names(list(versions_named(steps)), reader)
    names |= model_names(list(models_named(steps)), reader)
    found = []
    for place, step in enumerate(steps):
        kind = KINDS[step["kind"]]
        given = kind.complete(step["parameters"])
        settings = [
            line
            for one in kind.parameters
            if one.counts(given) and (line := _setting(one, given[one.name], names)) is not None
        ]
        did = report[place] if report and place < len(report) else None
        found.append(
            StepShown(
                place + 1,
                kind.label,
                kind.icon,
                settings,
                did["rows_in"] if did else None,
                did["rows_out"] if did else None,
                _counts(did) if did else [],
                did.get("examples", []) if did else [],
            )
        )
    return found


def _names(ids: list[str], reader: User | AnonymousUser) -> dict[str, str]:
    """The names of those versions that the reader may see."""
    if not ids:
        return {}
    seen = DatasetVersion.objects.visible_to(reader).select_related("dataset")
    return {str(version.pk): str(version) for version in seen.filter(pk__in=ids)}


def _version(one: dict[str, Any], parameter: Versions, names: dict[str, str]) -> str:
    name = names.get(one["version"]) or str(gettext_lazy("a version that you do not see"))
    return f"{name} × {one['weight']:g}" if parameter.weighted else name


def _setting(parameter: Parameter, value: Any, names: dict[str, str]) -> tuple[Text, Any] | None:
    if value in (None, "", [], False):
        return None
    if isinstance(parameter, Flag):
        return parameter.label, ""
    if isinstance(parameter, Several):
        words = dict(parameter.choices)
        return parameter.label, ", ".join(str(words[word]) for word in value)
    if isinstance(parameter, Versions):
        return parameter.label, ", ".join(_version(one, parameter, names) for one in value)
    if isinstance(parameter, Model):
        return parameter.label, names.get(value) or gettext_lazy("a model that you do not see")
    if isinstance(parameter, Choice):
        return parameter.label, dict(parameter.choices)[value]
    return parameter.label, value


def _counts(did: dict[str, Any]) -> list[tuple[Text, int]]:
    found: list[tuple[Text, int]] = []
    if did["changed"]:
        found.append((gettext_lazy("rows changed"), did["changed"]))
    if did["clusters"]:
        found.append((gettext_lazy("clusters of rows that are alike"), did["clusters"]))
    found += [(REASONS[reason], count) for reason, count in did["dropped"].items()]
    names = {**MASKED, **VARIED, **MADE, **PARTED}
    found += [(names.get(kind, kind), count) for kind, count in did["found"].items()]
    return found + [(PARTS[part], count) for part, count in did["parts"].items()]


@dataclass(frozen=True)
class Sources:
    """What somebody sees of where versions come from: the names of versions by their ids, and the
    ids of projects as whose member.
    """

    names: dict[str, str]
    projects: set[uuid.UUID]


def sources_seen(versions: Iterable[DatasetVersion], user: User | AnonymousUser) -> Sources:
    """Asked for all these versions at once; they come with their projects."""
    made = [version for version in versions if version.lineage]
    inputs = [one["version"] for version in made for one in version.lineage.get("inputs", ())]
    parents = [str(version.parent_id) for version in made if version.parent_id]
    projects = {version.dataset.project for version in made}
    members = {project.pk for project in projects if project.role_of(user)}
    return Sources(_names([*parents, *inputs], user), members)


def lineage_seen(
    version: DatasetVersion, user: User | AnonymousUser, sources: Sources | None = None
) -> dict[str, Any]:
    """Where the rows come from; names of versions only for those who may see them, of people only
    for members of the project. `sources` are those of `sources_seen`, where they are known.
    """
    lineage = dict(version.lineage)
    sources = sources or sources_seen([version], user)
    is_member = version.dataset.project_id in sources.projects
    if not (str(version.parent_id) in sources.names if version.parent_id else is_member):
        lineage.pop("source", None)
    if not is_member:
        lineage.pop("people", None)
    if inputs := lineage.get("inputs"):
        lineage["inputs"] = [one for one in inputs if one["version"] in sources.names]
    return lineage
