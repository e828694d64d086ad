"""`dataset_info.json`: for one job with the versions it uses, and complete for use by hand."""

import json
import re
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from datasets.models import DatasetVersion
from datasets.reading.locks import locked
from datasets.services.files import data_root, link_or_copy

INFO = "dataset_info.json"


def dataset_name(version: DatasetVersion) -> str:
    """The version's name for the engine: unique, without blanks and commas, which part names."""
    plain = re.sub(r"[^A-Za-z0-9_.]+", "-", version.dataset.name).strip("-.")
    return f"{plain or 'dataset'}-v{version.number}-{version.pk.hex[:8]}"


def versions_materialise(
    versions: Iterable[DatasetVersion], directory: Path
) -> dict[uuid.UUID, str]:
    """Lays the versions' rows and a `dataset_info.json` out for one job; id -> name there.

    The files are second names of the checked rows, which never change: they cost no space, and
    deleting the dataset later leaves the job its data.
    """
    directory.mkdir(parents=True, exist_ok=True)
    names: dict[uuid.UUID, str] = {}
    entries: dict[str, Any] = {}
    for version in versions:
        name = dataset_name(version)
        target = directory / f"{name}.jsonl"
        if not target.exists():
            link_or_copy(version.train_path, target)
        names[version.pk] = name
        entries[name] = {**version.report["entry"], "file_name": target.name}
    _replace(directory / INFO, entries)
    return names


def info_write() -> None:
    """Writes the complete `dataset_info.json` of all ready versions anew."""
    root = data_root()
    root.mkdir(parents=True, exist_ok=True)
    with locked(root, wait=True):  # the last writer must have read last
        ready = DatasetVersion.objects.ready().select_related("dataset").order_by("created_at")
        entries = {
            dataset_name(version): {
                **version.report["entry"],
                "file_name": str(version.train_path.relative_to(root)),
            }
            for version in ready.iterator(chunk_size=200)
        }
        _replace(root / INFO, entries)


def _replace(path: Path, entries: Mapping[str, Any]) -> None:
    draft = path.with_name(f".{path.name}")  # one name: a killed writer's is written over
    # ASCII only: the engine reads the file in whatever encoding its environment has.
    draft.write_text(json.dumps(entries, indent=2) + "\n", encoding="ascii")
    draft.replace(path)
