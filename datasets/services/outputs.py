"""Written rows become versions: what a run made, and what was made by hand."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accounts.models import User
from accounts.services import event_record, project_hold
from common.errors import DomainError
from common.phrases import gettext as _
from datasets.models import Dataset, DatasetVersion, RecipeRun
from datasets.previews import mapping_of
from datasets.recipes.pipeline import mappings_of
from datasets.services.files import link_or_copy, settle
from datasets.services.inputs import inputs_stored
from datasets.services.moves import dataset_touch
from datasets.services.room import refuse_size
from datasets.services.uploads import next_number, refuse_taken
from datasets.shapes.mapping import Mapping


@dataclass(frozen=True)
class Output:
    """Rows of one part in a folder as a version's: `original`, `rows.jsonl` and its index.

    `columns` are those of the rows, the most used first.
    """

    part: str
    columns: list[str]
    directory: Path
    rows: int
    size: int
    sha256: str


def output_of(part: str, directory: Path, columns: list[str], rows: int) -> Output:
    """Completes a folder of written rows: what is downloaded as the file are the rows."""
    original = directory / "original"
    link_or_copy(directory / "rows.jsonl", original)
    original.chmod(0o444)
    with original.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    return Output(part, columns, directory, rows, original.stat().st_size, digest.hexdigest())


def outputs_store(
    run: RecipeRun, outputs: list[Output], report: list[dict[str, Any]]
) -> list[DatasetVersion]:
    """Rows and folders of the versions; the caller is in a transaction and has locked the run."""
    project_hold(run.project_id)
    refuse_size(sum(output.size for output in outputs), run.project)
    return [_store(run, output, _dataset(run, output), report) for output in outputs]


def _dataset(run: RecipeRun, output: Output) -> Dataset:
    if not run.name:
        if run.dataset_id is None:
            raise DomainError(_("The dataset that was to get the rows is gone."))
        return Dataset.objects.select_for_update().get(pk=run.dataset_id)
    name = f"{run.name} {output.part}" if output.part else run.name
    refuse_taken(run.project, name)
    dataset = Dataset.objects.create(project=run.project, created_by=run.created_by, name=name)
    event_record(dataset, project=run.project, actor=run.created_by, verb="created", new="v1")
    return dataset


def _store(
    run: RecipeRun, output: Output, dataset: Dataset, report: list[dict[str, Any]]
) -> DatasetVersion:
    source = run.source
    if source is None:
        raise DomainError(_("The version that the recipe was to run on is gone."))
    return version_made(
        dataset,
        output,
        parent=source,
        read_so=mappings_of(run.steps, mapping_of(source))[-1],
        by=run.created_by,
        run=run,
        lineage={
            "recipe": run.recipe_name,
            "steps": run.steps,
            "seed": run.seed,
            "source": run.source_name,
            "inputs": inputs_stored({str(one.pk): one for one in run.inputs.all()}),
            "part": output.part or source.lineage.get("part", ""),  # a test part stays one
            # Examples hold texts of rows that are not in this version: they stay with the run.
            "report": [{**step, "examples": []} for step in report],
        },
    )


def version_made(
    dataset: Dataset,
    output: Output,
    *,
    parent: DatasetVersion,
    read_so: Mapping,
    lineage: dict[str, Any],
    by: User | None,
    run: RecipeRun | None = None,
) -> DatasetVersion:
    """The next version of a locked dataset, its folder moved into place; it is to be checked."""
    number = next_number(dataset)
    part = f"-{output.part}" if output.part else ""
    version = DatasetVersion.objects.create(
        dataset=dataset,
        number=number,
        parent=parent,
        run=run,
        lineage=lineage,
        shape=read_so.shape,
        columns=read_so.columns,
        tags=read_so.tags,
        file_columns=output.columns,
        filename=f"{parent.dataset.name}-v{parent.number}{part}.jsonl",
        file_format="jsonl",
        encoding="utf-8",
        bytes=output.size,
        stored_bytes=output.size,
        sha256=output.sha256,
        created_by=by,
    )
    settle(output.directory, version.directory)
    event_record(dataset, project=dataset.project, actor=by, verb="version_added", new=f"v{number}")
    dataset_touch(dataset)
    return version
