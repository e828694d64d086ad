"""The work of a run: rows through the steps into folders that become versions in one stroke."""

import shutil
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts.services import live_touch
from common.disks import disk_full_told
from common.errors import DomainError
from common.phrases import gettext as _
from datasets.generation.asking import Asking, Limits
from datasets.generation.journal import Journal, Spent
from datasets.models import RecipeRun
from datasets.previews import mapping_of
from datasets.reading.indexed import IndexedReader, IndexedWriter
from datasets.reading.locks import locked
from datasets.reading.rows import COLUMNS_MAX
from datasets.recipes.kinds import likeness_asked, shares_of, versions_named
from datasets.recipes.likeness import Likeness, embedded, similarity
from datasets.recipes.pipeline import apply
from datasets.recipes.rows import Row, StepOutcome
from datasets.recipes.words import PARTS
from datasets.services.asking import doors_of
from datasets.services.checks import tokenizer_by_default, version_check
from datasets.services.files import folders_remove
from datasets.services.inputs import inputs_read
from datasets.services.outputs import Output, output_of, outputs_store
from datasets.services.room import refuse_size
from datasets.services.runlog import RunLog
from datasets.services.runs import recipes_root
from datasets.services.work import Over, work_begin, work_locked, work_move

TRIES = 5  # of a run that is killed, or fails for another reason than recipe and rows
REPORTED = 1.0  # seconds between two looks at whether the run was called off


def run_execute(run_id: uuid.UUID) -> bool:
    """Works at a run that waits, or whose worker was killed; whether this call did it.

    Does nothing when another process is at it or it has ended. May be killed at any moment: the
    sweep begins it again, and nothing it wrote counts before the row says so.
    """
    run = RecipeRun.objects.filter(pk=run_id).first()
    if run is None:
        return False
    recipes_root()
    run.directory.mkdir(exist_ok=True)
    with locked(run.directory) as mine:
        if not mine:
            return False
        try:
            with disk_full_told():
                versions = _execute(run_id)
        except Over:
            versions = []
        except DomainError as refused:
            versions = []
            folders_remove(run.directory)  # of a full disk, before it takes room to say so
            _fail(run_id, refused)
        finally:
            _tidy(run)
    for version_id in versions:
        version_check(version_id, by=run.created_by)
    return True


def _tidy(run: RecipeRun) -> None:
    """Removes what the run worked at; what models answered stays until it has come to its end."""
    now = RecipeRun.objects.filter(pk=run.pk).first()
    over = (RecipeRun.State.SUCCEEDED, RecipeRun.State.CANCELLED)
    if now is None or not now.asks_models or now.state in over:
        shutil.rmtree(run.directory, ignore_errors=True)
    else:
        folders_remove(run.directory)  # what models answered is a file


def _execute(run_id: uuid.UUID) -> list[uuid.UUID]:
    run = _begin(run_id)
    folders_remove(run.directory)
    outcomes, outputs = _work(run)
    with ExitStack() as locks:
        for output in outputs:  # the sweep leaves folders alone whose maker lives
            locks.enter_context(locked(output.directory, wait=True))
        return _finish(run_id, outcomes, outputs)


def _locked(run_id: uuid.UUID) -> RecipeRun:
    rows = RecipeRun.objects.select_related("project", "source__dataset", "created_by")
    return work_locked(rows, run_id)


@transaction.atomic
def _begin(run_id: uuid.UUID) -> RecipeRun:
    """Notes that the work begins. A run that never came to its end so often is given up; tries
    that brought answers do not count.
    """
    run = _locked(run_id)
    answers = int(run.spent.get("answers", 0))
    tries = int(run.progress.get("tries", 0)) + 1
    if answers > int(run.progress.get("answers", 0)):
        tries = 1
    if tries > TRIES:
        raise DomainError(
            _("The run was begun %(tries)s times and never ended. Try it on fewer rows.")
            % {"tries": TRIES}
        )
    return work_begin(run, {"tries": tries, "answers": answers}, started_at=timezone.now())


class _Reporter:
    """Tells live pages how far a run is, and looks whether it was called off."""

    def __init__(self, run: RecipeRun, total: int) -> None:
        self._run = run
        self._total = max(total, 1)
        self._last = time.monotonic()
        self.read = self.done = 0
        self.log = RunLog(run.log)
        self.spent: Spent | None = None  # of a run that asks models

    def look(self) -> None:
        """`Over` when the run has ended, QuotaExceeded when it makes too much; about once a
        second.
        """
        now = time.monotonic()
        if now - self._last < REPORTED:
            return
        self._last = now
        share = (self.read + self.done) / 2 / self._total
        progress = {**self._run.progress, "rows": self.read, "percent": int(100 * min(share, 1))}
        running = RecipeRun.objects.filter(pk=self._run.pk).active()
        if not running.update(progress=progress, **self._said()):
            raise Over
        self._refuse_growth()
        live_touch(self._run.pk, self._run.project_id)

    def save(self) -> None:
        """What was said and spent, when the work ends, in whatever way."""
        RecipeRun.objects.filter(pk=self._run.pk).update(**self._said())

    def _said(self) -> dict[str, Any]:
        spent = {} if self.spent is None else {"spent": self.spent.stored()}
        return {"log": self.log.stored(), **spent}

    def _refuse_growth(self) -> None:
        """Steps can make many rows of one: no file of rows may outgrow the project's place."""
        sizes = (path.stat().st_size for path in self._run.directory.rglob("rows*"))
        refuse_size(max(sizes, default=0), self._run.project)

    def values(self, reader: IndexedReader) -> Iterator[Any]:
        """The rows of the input, counted."""
        for number, _line, value in reader.all():
            self.read = number + 1
            self.look()
            yield value

    def passed(self, row: Row) -> None:
        """A row came to its end, whether it is kept or dropped."""
        if not row.source:
            self.done = max(self.done, row.number + 1)
        self.look()


def _work(run: RecipeRun) -> tuple[list[StepOutcome], list[Output]]:
    if run.source is None:
        raise DomainError(_("The version that the recipe was to run on is gone."))
    reader = IndexedReader(run.source.rows_path)
    reporter = _Reporter(run, reader.count)
    inputs = {str(version.pk): version for version in run.inputs.select_related("dataset")}
    if set(inputs) != set(versions_named(run.steps)):
        raise DomainError(_("A version that the recipe was to read is gone."))
    with ExitStack() as stack:
        stack.callback(reporter.save)
        rows, outcomes = apply(
            reporter.values(reader),
            run.steps,
            mapping=mapping_of(run.source),
            seed=run.seed,
            version=str(run.source.pk),
            folder=run.directory / "steps",
            dropped=lambda _place, row, _reason: reporter.passed(row),
            inputs=inputs_read(inputs, look=reporter.look),
            tokenizer=tokenizer_by_default(),
            asking=stack.enter_context(_asking(run, reporter)) if run.asks_models else None,
            likeness=_likeness(run, reporter.log),
        )
        parts = _write(rows, run.directory, reporter)
        made = sum(count for _folder, _columns, count in parts.values())
        reporter.log.say(_("%(n)s rows are made.") % {"n": f"{made:,}"})
        if not parts:
            _refuse_empty(outcomes)
        _judge_parts(shares_of(run.steps), outcomes, reporter.log)
    return outcomes, [output_of(part, *written) for part, written in parts.items()]


def steps_embed(steps: list[dict[str, Any]]) -> bool:
    """Whether a run of these steps reads an embedding model, which takes memory."""
    return bool(settings.EMBEDDING_MODEL_DIR) and likeness_asked(steps)


def _likeness(run: RecipeRun, log: RunLog) -> Likeness:
    """How the run tells whether new rows are like their origin."""
    if steps_embed(run.steps):
        directory = Path(settings.EMBEDDING_MODEL_DIR)
        log.say(
            _("New rows are compared with their origin by meaning, with the model %(name)s.")
            % {"name": directory.name}
        )
        return embedded(directory)
    if likeness_asked(run.steps):
        log.say(_("New rows are compared with their origin by their three-character stretches."))
    return similarity


def _asking(run: RecipeRun, reporter: _Reporter) -> Asking:
    """Whoever asks models for the run, with what they answered when it was begun before."""
    if run.created_by is None:
        raise DomainError(_("Who started the run is gone, and with them the right to ask models."))
    asking = Asking(
        doors_of(run.steps, run.created_by),
        Journal(run.journal),
        salt=str(run.pk),
        limits=Limits(run.max_cost, run.max_tokens),
        takes_unusable=run.takes_unusable,
        look=reporter.look,
        tell=reporter.log.say,
    )
    reporter.spent = asking.spent
    if asking.spent.answers:
        reporter.log.say(
            _("%(n)s answers of before are kept and not asked for again.")
            % {"n": asking.spent.answers}
        )
    return asking


def _write(
    rows: Iterator[Row], directory: Path, reporter: _Reporter
) -> dict[str, tuple[Path, list[str], int]]:
    """Writes the rows of each part into a folder; where, their columns, and how many they are."""
    writers: dict[str, IndexedWriter] = {}
    columns: dict[str, Counter[str]] = {}
    with ExitStack() as files:
        for row in rows:
            if row.part not in writers:
                folder = _folder(directory, row.part)
                folder.mkdir()
                writers[row.part] = files.enter_context(IndexedWriter(folder / "rows.jsonl"))
                columns[row.part] = Counter()
            writer = writers[row.part]
            value = row.stored
            writer.write(value, writer.count + 1)
            if isinstance(value, dict) and len(columns[row.part]) < COLUMNS_MAX:
                columns[row.part].update(value.keys())
            reporter.passed(row)
    return {
        part: (
            _folder(directory, part),
            [name for name, _count in columns[part].most_common()],
            writers[part].count,
        )
        for part in sorted(writers)
    }


def _folder(directory: Path, part: str) -> Path:
    return directory / f"made-{part or 'all'}"


def _refuse_empty(outcomes: list[StepOutcome]) -> None:
    number = next((n for n, one in enumerate(outcomes, start=1) if not one.rows_out), 1)
    raise _BadOutcome(
        _("No row is left after step %(number)s. Loosen what it drops.") % {"number": number},
        outcomes,
        code="nothing_left",
    )


def _judge_parts(shares: dict[str, float], outcomes: list[StepOutcome], log: RunLog) -> None:
    """Refuses a part that got no row, and tells of those that are far from their share."""
    got = outcomes[-1].parts
    for part, share in shares.items():
        wanted = share * got.total()
        if not got[part]:
            raise _BadOutcome(
                _(
                    "No row is left for the part “%(part)s”: there are too few rows, or too many"
                    " hang together and are never parted. Set its share to 0, or choose something"
                    " else that is never parted."
                )
                % {"part": PARTS[part]},
                outcomes,
                code="part_empty",
            )
        if abs(got[part] - wanted) > max(wanted / 2, 1):
            log.say(
                _(
                    "The part “%(part)s” has %(rows)s rows where %(wanted)s were to be: rows that"
                    " hang together are never parted."
                )
                % {"part": PARTS[part], "rows": got[part], "wanted": round(wanted)}
            )


class _BadOutcome(DomainError):
    """The rows that are left are not what was asked for; `outcomes` say what each step did."""

    def __init__(self, message: str, outcomes: list[StepOutcome], *, code: str) -> None:
        super().__init__(message, code=code)
        self.outcomes = outcomes


@transaction.atomic
def _finish(
    run_id: uuid.UUID, outcomes: list[StepOutcome], outputs: list[Output]
) -> list[uuid.UUID]:
    """Versions, files and the run's end together."""
    run = _locked(run_id)
    report = [outcome.stored() for outcome in outcomes]
    versions = outputs_store(run, outputs, report)
    work_move(run, RecipeRun.State.SUCCEEDED, by=None, report=report, progress={})
    return [version.pk for version in versions]


def _fail(run_id: uuid.UUID, refused: DomainError) -> None:
    outcomes = refused.outcomes if isinstance(refused, _BadOutcome) else []
    with transaction.atomic(), suppress(Over):
        work_move(
            _locked(run_id),
            RecipeRun.State.FAILED,
            by=None,
            problem=refused.message,
            problem_code=refused.code,
            report=[outcome.stored() for outcome in outcomes],
            progress={},
        )
