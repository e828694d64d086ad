"""The list of public datasets, in the form in which LLaMA-Factory describes data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from common.errors import DomainError
from common.phrases import gettext as _
from datasets.importing.hubs import repository_read
from datasets.shapes.mapping import Mapping as Columns
from datasets.shapes.mapping import mapping_check

_HUBS = {"hf_hub_url": "huggingface", "ms_hub_url": "modelscope"}


@dataclass(frozen=True, slots=True)
class Entry:
    """A data set of the list: where it lies, what of it is meant, how its rows are read.

    `places` are repositories by hub; `file_name` is a file beside the list. Without a `shape` the
    rows are looked at.
    """

    places: dict[str, str]
    file_name: str
    description: str
    choices: list[str] = field(default_factory=list)
    shape: str = ""
    columns: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


def entry_read(entry: Any, endpoints: Mapping[str, str]) -> Entry:
    """An entry of the list. DomainError says what is wrong with it.

    `endpoints` are the addresses of the hubs by kind: of their pages an entry may be one.
    """
    if not isinstance(entry, Mapping):
        raise DomainError(_("An entry is an object."), code="entry")
    places = {
        kind: repository_read(str(entry[name]), kind, endpoints[kind])
        for name, kind in _HUBS.items()
        if entry.get(name)
    }
    file_name = "" if places else str(entry.get("file_name") or "")
    if not places and not file_name:
        raise DomainError(
            _("It names no place: hf_hub_url, ms_hub_url or file_name."), code="entry"
        )
    columns, tags = dict(entry.get("columns") or {}), dict(entry.get("tags") or {})
    shape = _shape(entry, columns, tags) if columns else ""
    if shape:
        mapping = Columns.of(shape, columns, tags)
        mapping_check(mapping, list(mapping.columns.values()))
    wanted = [str(entry[name]) for name in ("subset", "split") if entry.get(name)]
    return Entry(
        places,
        file_name,
        str(entry.get("description") or ""),
        [" / ".join(wanted)] if wanted else [],
        shape,
        columns,
        tags,
    )


def _shape(entry: Mapping[str, Any], columns: Mapping[str, Any], tags: Mapping[str, Any]) -> str:
    if "kto_tag" in columns:
        return "kto"
    if entry.get("ranking"):
        return "preference"
    if entry.get("formatting") in {"sharegpt", "openai"}:
        return "openai" if tags.get("role_tag") == "role" else "sharegpt"
    return "text" if set(columns) == {"prompt"} else "alpaca"
