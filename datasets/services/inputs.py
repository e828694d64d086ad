"""Further versions that the steps of a recipe read."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from django.contrib.auth.models import AnonymousUser

from accounts.models import User
from common.phrases import gettext as _
from datasets.models import DatasetVersion
from datasets.previews import mapping_of
from datasets.reading.indexed import IndexedReader
from datasets.recipes.kinds import step_refusal, versions_named
from datasets.recipes.rows import Input

Seer = User | AnonymousUser


def inputs_of(steps: list[dict[str, Any]], by: Seer) -> dict[str, DatasetVersion]:
    """The further versions of checked steps by their ids.

    DomainError names the step when somebody does not see one, or it is not ready.
    """
    named = versions_named(steps)
    ready = DatasetVersion.objects.visible_to(by).ready().select_related("dataset")
    found = {str(version.pk): version for version in ready.filter(pk__in=named)}
    for wanted, (place, parameter) in named.items():
        if wanted not in found:
            raise step_refusal(
                place,
                parameter,
                _("A dataset version is gone, not ready, or not yours to see. Choose another one."),
            )
    return found


def inputs_read(
    versions: Mapping[str, DatasetVersion],
    *,
    rows: int | None = None,
    look: Callable[[], None] = lambda: None,
) -> dict[str, Input]:
    """How the steps read them; with `rows` only that many of each. `look` is called at each row."""
    return {key: _input(version, rows, look) for key, version in versions.items()}


def _input(version: DatasetVersion, rows: int | None, look: Callable[[], None]) -> Input:
    reader = IndexedReader(version.rows_path)
    if rows is not None:
        values = [line.value for line in reader.page(0, rows) if line.data is not None]
        return Input(mapping_of(version), len(values), lambda: values)
    return Input(mapping_of(version), reader.count, partial(_values, reader, look))


def _values(reader: IndexedReader, look: Callable[[], None]) -> Iterator[Any]:
    for _number, _line, value in reader.all():
        look()
        yield value


def inputs_stored(versions: Mapping[str, DatasetVersion]) -> list[dict[str, str]]:
    """Their ids and names, as a lineage keeps them."""
    return [{"version": key, "name": str(version)} for key, version in versions.items()]
