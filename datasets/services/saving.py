"""Decisions on rows become a version: written in the background, stored in one stroke."""

import shutil
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from typing import Any

from django.db import transaction
from django.utils import timezone
from django_q.tasks import async_task

from accounts.models import User
from accounts.services import live_touch, project_hold
from common.disks import disk_full_told
from common.errors import Conflict, DomainError
from common.phrases import gettext as _
from common.phrases import ngettext
from datasets.agreement import agreement_of
from datasets.models import Dataset, DatasetVersion, Revision, RowDecision
from datasets.models.edits import SETTLING
from datasets.previews import mapping_of
from datasets.reading.indexed import IndexedReader, IndexedWriter
from datasets.reading.locks import locked
from datasets.reading.rows import COLUMNS_MAX
from datasets.recipes.rows import decoded, plain
from datasets.services.checks import version_check
from datasets.services.edits import RATINGS, refuse_saving, revision_locked, revision_move
from datasets.services.files import folders_remove
from datasets.services.outputs import Output, output_of, version_made
from datasets.services.room import refuse_size
from datasets.services.uploads import SMALL

TRIES = 5  # of a save that is killed, or fails for another reason than the rows
REPORTED = 1.0  # seconds between two looks at whether the revision is still there
AT_ONCE = 100  # decisions in memory; each may hold a row of 256 KB


class _Over(Exception):
    """The revision is gone, or saved already."""


@dataclass
class Made:
    """What was decided, counted: in all and by person; and ratings by the rows' new numbers."""

    rows: int = 0
    kept: int = 0
    rated_low: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    people: dict[str, Counter[str]] = field(default_factory=dict)
    ratings: list[tuple[int, RowDecision]] = field(default_factory=list)

    def note(self, decision: RowDecision, *, kept: bool) -> None:
        """Counts a decision."""
        did = {decision.verdict: bool(decision.verdict), "rated": decision.rating is not None}
        done = [word for word, is_so in did.items() if is_so]
        self.counts.update(done)
        name = decision.by.username if decision.by else ""
        self.people.setdefault(name, Counter()).update(done)
        self.rated_low += not kept and decision.rating is not None and not decision.verdict
        if kept and decision.rating is not None:
            self.ratings.append((self.kept, decision))

    def lineage(self, revision: Revision) -> dict[str, Any]:
        """Where the rows come from, in words that outlive version and people."""
        found = {
            **revision.plan,
            "kind": revision.kind,
            "source": str(revision.version),
            # A test part stays one when single rows of it change.
            "part": revision.version.lineage.get("part", ""),
            "rows": self.rows,
            "counts": dict(self.counts),
            "rated_low": self.rated_low,
            "people": [
                {"name": name, **counts}
                for name, counts in sorted(self.people.items())
                if counts.total()
            ],
        }
        if revision.is_review:
            reviewed = {"name": revision.name, "reviewed": revision.plan["rows"]}
            found |= {**reviewed, **agreement_of(revision)}
        return found


def revision_save(
    revision_id: uuid.UUID,
    *,
    by: User,
    drop_rated_under: int | None = None,
    keeps_rest: bool = True,
) -> Revision:
    """Has a new version made of the decisions; of a small version at once, else in the background.

    Rows with a lower rating than `drop_rated_under` are left out, too, and unless `keeps_rest` all
    rows about which a review decided nothing. DomainError when nothing would be different, Conflict
    while reviewers disagree; what goes wrong later stands in `problem`, and it is open again.
    """
    revision = _save(revision_id, by, drop_rated_under, keeps_rest)
    if revision.version.bytes < SMALL:
        revision_write(revision.pk)
    return Revision.objects.select_related("version__dataset", "result").get(pk=revision.pk)


@transaction.atomic
def _save(
    revision_id: uuid.UUID, by: User, drop_rated_under: int | None, keeps_rest: bool
) -> Revision:
    revision = revision_locked(revision_id, by)
    refuse_saving(revision)
    if drop_rated_under is not None and drop_rated_under not in RATINGS:
        raise DomainError(_("A rating is a number from 1 to 5."), field="drop_rated_under")
    _refuse_nothing(revision, drop_rated_under)
    if disputed := revision.decisions.disputed().count():
        raise Conflict(
            ngettext(
                "Reviewers disagree on %(n)s row. Settle it first.",
                "Reviewers disagree on %(n)s rows. Settle them first.",
                disputed,
            )
            % {"n": disputed},
            code="disputed",
        )
    plan = {"drop_rated_under": drop_rated_under}
    if revision.is_review:
        plan = {**revision.plan, **plan, "keeps_rest": keeps_rest}
    revision_move(
        revision,
        Revision.State.SAVING,
        by=by,
        plan=plan,
        saved_by=by,
        problem="",
        progress={},
    )
    async_task("datasets.tasks.revision_write", str(revision.pk), cluster="web")
    return revision


def _refuse_nothing(revision: Revision, drop_rated_under: int | None) -> None:
    counts = revision.counts
    if revision.is_review:
        if not revision.decisions.opinions().exists():
            raise DomainError(_("No row has been decided on yet."), code="nothing")
        return
    drops = revision.decisions.filter(rating__lt=drop_rated_under or 0).exists()
    if not (counts["changed"] or counts["excluded"] or drops):
        raise DomainError(
            _("Nothing would be different. Change or leave out a row first."), code="nothing"
        )


def revision_write(revision_id: uuid.UUID) -> bool:
    """Makes a version of a revision that is being saved; whether this call did it.

    Does nothing when another process is at it or it is done. May be killed at any moment: the sweep
    begins it again, and nothing it wrote counts before the row says so.
    """
    revision = Revision.objects.filter(pk=revision_id).first()
    if revision is None:
        return False
    revision.directory.mkdir(parents=True, exist_ok=True)
    version: DatasetVersion | None = None
    with locked(revision.directory) as mine:
        if not mine:
            return False
        try:
            with disk_full_told():
                version = _write(revision_id)
        except _Over:
            pass
        except DomainError as refused:
            folders_remove(revision.directory)  # of a full disk, before it takes room to say so
            _refused(revision_id, refused.message)
        finally:
            shutil.rmtree(revision.directory, ignore_errors=True)
    if version is not None:
        version_check(version.pk, by=version.created_by)
    return True


def _write(revision_id: uuid.UUID) -> DatasetVersion:
    revision = _begin(revision_id)
    folders_remove(revision.directory)
    folder = revision.directory / "made"
    folder.mkdir()
    made, columns = Made(), Counter[str]()
    with IndexedWriter(folder / "rows.jsonl") as writer:
        for value in _rows(revision, made):
            writer.write(value, writer.count + 1)
            if isinstance(value, dict) and len(columns) < COLUMNS_MAX:
                columns.update(value.keys())
    if not made.kept:
        raise DomainError(_("No row would be left. Leave out fewer."), code="nothing_left")
    names = [name for name, _count in columns.most_common()]
    output = output_of("", folder, names, made.kept)
    with locked(folder, wait=True):  # the sweep leaves folders alone whose maker lives
        return _finish(revision_id, made, output)


def _locked(revision_id: uuid.UUID) -> Revision:
    revision = (
        Revision.objects.select_for_update(of=("self",))
        .select_related("version__dataset__project", "saved_by")
        .filter(pk=revision_id, state=Revision.State.SAVING)
        .first()
    )
    if revision is None:
        raise _Over
    return revision


@transaction.atomic
def _begin(revision_id: uuid.UUID) -> Revision:
    """Notes that the work begins. One that never came to its end so often is given up."""
    revision = _locked(revision_id)
    tries = int(revision.progress.get("tries", 0)) + 1
    if tries > TRIES:
        raise DomainError(
            _("Saving was begun %(tries)s times and never ended. Decide on fewer rows at once.")
            % {"tries": TRIES}
        )
    revision.progress = {"tries": tries}
    revision.save(update_fields=["progress"])
    return revision


def _rows(revision: Revision, made: Made) -> Iterator[Any]:
    """The rows that stay, as they are to be, while `made` counts."""
    version = revision.version
    mapping = mapping_of(version)
    reader = IndexedReader(version.rows_path)
    under = revision.plan.get("drop_rated_under") or 0
    keeps_rest = revision.plan.get("keeps_rest", True)
    decisions = revision.decisions.effective().select_related("by").order_by("row", "seat")
    groups = groupby(decisions.iterator(chunk_size=AT_ONCE), key=attrgetter("row"))
    row, group = next(groups, (None, iter(())))
    look = _look(revision, reader.count)
    for number, _line, stored in reader.all():
        look(number)
        made.rows += 1
        found: list[RowDecision] = []
        if row == number:
            found = list(group)
            row, group = next(groups, (None, iter(())))
        final = final_of(found)
        kept = keeps_rest if final is None else final.verdict != RowDecision.Verdict.EXCLUDED
        kept = kept and all(one.rating is None or one.rating >= under for one in found)
        for one in found:
            made.note(one, kept=kept)
        if kept:
            made.kept += 1
            yield final.changed_value if final and final.value else decoded(stored, mapping)


def final_of(decisions: list[RowDecision]) -> RowDecision | None:
    """What counts of the decisions on one row: what settled a dispute, else what all agree on."""
    settled = [one for one in decisions if one.seat == SETTLING and one.verdict]
    opinions = settled or [one for one in decisions if one.verdict or one.rating is not None]
    alike = len({(one.verdict, one.value) for one in opinions}) == 1
    return opinions[0] if alike else None


def _look(revision: Revision, total: int) -> Any:
    """Tells live pages how far it is, and stops when the revision is gone; once a second."""
    last = time.monotonic()

    def look(number: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < REPORTED:
            return
        last = now
        progress = {**revision.progress, "percent": int(100 * number / max(total, 1))}
        saving = Revision.objects.filter(pk=revision.pk, state=Revision.State.SAVING)
        if not saving.update(progress=progress):
            raise _Over
        live_touch(revision.pk, revision.version.dataset.project_id)

    return look


@transaction.atomic
def _finish(revision_id: uuid.UUID, made: Made, output: Output) -> DatasetVersion:
    """Version, files and the revision's end together; ratings go on with their rows."""
    revision = _locked(revision_id)
    source = revision.version
    project = project_hold(source.dataset.project_id)
    refuse_size(output.size, project)
    version = version_made(
        Dataset.objects.select_for_update(of=("self",))
        .select_related("project")
        .get(pk=source.dataset_id),
        output,
        parent=source,
        read_so=plain(mapping_of(source)),
        lineage=made.lineage(revision),
        by=revision.saved_by,
    )
    _ratings_take(made, version)
    revision_move(
        revision,
        Revision.State.SAVED,
        by=None,
        result=version,
        progress={},
        ended_at=timezone.now(),
    )
    return version


def _ratings_take(made: Made, version: DatasetVersion) -> None:
    """The version begins with the ratings and notes of its rows."""
    if not made.ratings:
        return
    draft = Revision.objects.create(version=version, created_by=version.created_by)
    RowDecision.objects.bulk_create(
        [
            RowDecision(revision=draft, row=row, rating=one.rating, note=one.note, by=one.by)
            for row, one in made.ratings
        ],
        batch_size=1000,
    )


def _refused(revision_id: uuid.UUID, problem: str) -> None:
    with transaction.atomic(), suppress(_Over):
        revision_move(
            _locked(revision_id), Revision.State.OPEN, by=None, problem=problem, progress={}
        )
