"""Tokens of a version by a tokenizer that somebody chose, counted once, in the background."""

import shutil
import uuid
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.utils import timezone
from django_q.tasks import async_task

from accounts.models import User
from accounts.services import live_touch
from common.disks import disk_full_told
from common.errors import Conflict, DomainError, QuotaExceeded
from common.phrases import gettext as _
from datasets.checking import Spread, counted_every
from datasets.models import DatasetVersion, TokenCount
from datasets.reading.indexed import IndexedReader
from datasets.reading.locks import locked
from datasets.services.files import sync
from datasets.services.inputs import Seer
from datasets.services.uses import given_of, lengths_path
from datasets.shapes.examples import example_of
from datasets.shapes.families import template_named
from datasets.shapes.tokens import TokenCounter
from datasets.shapes.turns import Example
from datasets.signals import tokenizers_offered
from datasets.statistics.tokenizers import FILE, Tokenizer

TRIES = 3  # of a count that is killed
AGAIN = timedelta(hours=1)  # after which a failed count is begun anew when it is asked for
RENEWED = timedelta(days=1)  # after which it is noted again that a count is asked for
KEPT = timedelta(days=30)  # after it was last asked for
OPEN_BY_ONE = 10  # counts that one user has waiting
OPEN_OF_VERSION = 20  # counts of one version that wait, whoever began them
COUNT_SECONDS = 300  # of processor time that one count may take; 32 MB of rows take far less
FILE_MAX = 128 * 2**20  # bytes of a tokenizer.json; those of known models have up to 35 MB
BATCH_ROWS, BATCH_CHARACTERS = 256, 4 * 2**20


def tokenizers_of(user: Seer, *, only: uuid.UUID | None = None) -> list[Tokenizer]:
    """Those of the models that somebody sees: base models first, then by name.

    With `only` no others than that of the model's version with this id.
    """
    answers: Any = tokenizers_offered.send(sender=None, user=user, only=only)
    found: list[Tokenizer] = [one for _receiver, told in answers for one in told]
    return sorted(found, key=lambda one: (not one.is_base, one.name.casefold()))


@transaction.atomic
def tokens_asked(version: DatasetVersion, tokenizer: Tokenizer, *, by: Seer) -> TokenCount:
    """The count of a version's rows by this tokenizer: made before, or begun now.

    DomainError says why it cannot be counted with, or that this reader may begin no count (now);
    Conflict that the version is not ready.
    """
    if problem := tokenizer.problem:
        raise DomainError(problem, field="tokenizer", code="no_tokenizer")
    if version.state != DatasetVersion.State.READY:
        raise Conflict(_("Rows are counted when the version is ready."), code="not_ready")
    assert tokenizer.directory is not None
    key, now = tokenizer.key, timezone.now()
    count = TokenCount.objects.filter(version=version, key=key).first()
    if count is not None and not _is_over(count, version):
        if count.asked_at < now - RENEWED:
            TokenCount.objects.filter(pk=count.pk).update(asked_at=now)
        return count
    asker = _asker(version, by)
    count, _created = TokenCount.objects.update_or_create(
        version=version,
        key=key,
        defaults={
            "tokenizer": str(tokenizer.directory.relative_to(settings.TRAINER_HOME)),
            "template": tokenizer.template,
            "state": TokenCount.State.WAITING,
            "problem": "",
            "progress": {},
            "ended_at": None,
            "asked_at": now,
            "asked_by": asker,
        },
    )
    async_task("datasets.tasks.tokens_count", cluster="web")
    return count


def _is_over(count: TokenCount, version: DatasetVersion) -> bool:
    """Whether it is to be begun anew: it failed some time ago, or its file is lost."""
    if count.state == TokenCount.State.FAILED:
        return count.ended_at is None or count.ended_at < timezone.now() - AGAIN
    return count.state == TokenCount.State.DONE and not lengths_path(version, count.key).exists()


def _asker(version: DatasetVersion, by: Seer) -> User:
    """Who begins a count, if he may."""
    if isinstance(by, AnonymousUser):
        raise DomainError(
            _("Tokens are counted for people who are logged in. Log in and try again."),
            field="tokenizer",
            code="log_in",
        )
    waiting = TokenCount.objects.waiting()
    if waiting.filter(asked_by=by).count() >= OPEN_BY_ONE:
        raise QuotaExceeded(
            _("%(limit)s of your counts of tokens wait already. Try again when one is done.")
            % {"limit": OPEN_BY_ONE}
        )
    if waiting.filter(version=version).count() >= OPEN_OF_VERSION:
        raise QuotaExceeded(
            _("%(limit)s counts of this version's tokens wait already. Try again when one is done.")
            % {"limit": OPEN_OF_VERSION}
        )
    return by


def tokens_count(count_id: uuid.UUID) -> bool:
    """Counts where it is waited for; whether this call did it.

    May be killed at any moment: the sweep begins it again, and what it wrote counts only when the
    row says so.
    """
    waiting = TokenCount.objects.waiting().select_related("version__dataset").filter(pk=count_id)
    count = waiting.first()
    if count is None:
        return False
    count.directory.mkdir(parents=True, exist_ok=True)
    with locked(count.directory) as mine:
        count = waiting.first() if mine else None
        if count is None:
            return False
        try:
            with disk_full_told():
                _count(count)
        except DomainError as refused:
            _end(count, TokenCount.State.FAILED, problem=refused.message)
        except FileNotFoundError:
            if TokenCount.objects.filter(pk=count_id).exists():
                raise  # otherwise the version was deleted meanwhile
        shutil.rmtree(count.directory, ignore_errors=True)
    return True


def _count(count: TokenCount) -> None:
    tries = int(count.progress.get("tries", 0)) + 1
    if tries > TRIES:
        raise DomainError(
            _("Counting was begun %(tries)s times and never ended. Is there too little memory?")
            % {"tries": TRIES}
        )
    _note(count, progress={"tries": tries})
    counter = _counter(count)
    reader = IndexedReader(count.version.train_path)
    spread, lengths = Spread(), array("I")
    for batch in _batches(count.version, reader):
        with _tokenizer_blamed():
            sizes = counter.lengths(batch)
        for length in sizes:
            spread.add(length)
            lengths.append(length)
        done = int(100 * len(lengths) * counted_every(reader) / max(reader.count, 1))
        if done >= int(count.progress.get("percent", 0)) + 5:
            _note(count, progress={"tries": tries, "percent": min(done, 99)})
    draft = count.directory / "lengths.bin"
    draft.write_bytes(lengths.tobytes())
    sync(draft)
    draft.replace(lengths_path(count.version, count.key))
    found = spread.summary()
    found.pop("histogram", None)
    found |= {"unit": "tokens", "rows": reader.count, "buckets": spread.buckets()}
    _end(count, TokenCount.State.DONE, lengths=found)


def _counter(count: TokenCount) -> TokenCounter:
    with _tokenizer_blamed():
        directory = count.tokenizer_directory
        if (directory / FILE).stat().st_size > FILE_MAX:
            raise ValueError("too big")
        return TokenCounter(directory, template_named(count.template))


@contextmanager
def _tokenizer_blamed() -> Iterator[None]:
    """What goes wrong within is the tokenizer's fault, unless memory is short."""
    try:
        yield
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001  the tokenizers library raises nothing more exact
        raise DomainError(
            _("The file tokenizer.json of this model is missing, damaged or too big to count with.")
        ) from None


def _batches(version: DatasetVersion, reader: IndexedReader) -> Iterator[list[Example]]:
    """All rows, of a big version every n-th, so many at once that memory stays bounded."""
    every, given = counted_every(reader), given_of(version)
    batch: list[Example] = []
    held = 0
    for _number, value in reader.some(range(every - 1, reader.count, every)):
        batch.append(example_of(value, given))
        held += batch[-1].characters
        if len(batch) >= BATCH_ROWS or held > BATCH_CHARACTERS:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def tokens_give_up(count_id: uuid.UUID) -> None:
    """A count fails whose process was ended because it took too much processor time."""
    waiting = TokenCount.objects.waiting().select_related("version__dataset")
    if count := waiting.filter(pk=count_id).first():
        problem = _(
            "Counting took more than %(minutes)s minutes of processor time: the tokenizer is too"
            " slow. Choose another one."
        ) % {"minutes": COUNT_SECONDS // 60}
        _end(count, TokenCount.State.FAILED, problem=problem)


def counts_forget() -> None:
    """Forgets those that nobody asked for lately, with their files.

    Such are those by a tokenizer whose file was installed anew: they are asked for by another key.
    """
    long_ago = timezone.now() - KEPT
    old = TokenCount.objects.exclude(state=TokenCount.State.WAITING).filter(asked_at__lt=long_ago)
    for count in old.select_related("version"):
        # Somebody may ask for it at this moment.
        if old.filter(pk=count.pk).delete()[0]:
            lengths_path(count.version, count.key).unlink(missing_ok=True)


def _end(count: TokenCount, state: TokenCount.State, **fields: Any) -> None:
    _note(count, state=state, progress={}, ended_at=timezone.now(), **fields)


def _note(count: TokenCount, **fields: Any) -> None:
    """Writes down how far it is, if it is still wanted."""
    for name, value in fields.items():
        setattr(count, name, value)
    TokenCount.objects.filter(pk=count.pk).update(**fields)
    live_touch(count.version_id, count.version.dataset.project_id)
