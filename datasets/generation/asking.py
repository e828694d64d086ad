"""Many questions at once, within what may be spent, each answered once."""

import asyncio
import hashlib
import random
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self, TypeVar

import orjson

from common.errors import DomainError
from common.phrases import gettext as _
from datasets.generation.doors import Busy, Door, Refused, Reworded, Terms
from datasets.generation.endings import Endings, Unread, unfinished
from datasets.generation.events import Answer, tokens_guess
from datasets.generation.journal import Answered, Journal
from datasets.generation.pace import Pace
from datasets.generation.parameters import change_told

T = TypeVar("T")
R = TypeVar("R")
TRIES = 10  # of one question before the run gives up
READ_TRIES = 3  # questions for one thing, when answers cannot be read
REFUSALS = 10  # questions that are refused one after another before the run gives up
FIRST_PAUSE, PAUSE_MOST = 0.5, 60.0  # seconds; doubled from one try to the next
LOOK_SECONDS = 0.5
_MILLION = Decimal(1_000_000)


@dataclass(frozen=True)
class Limits:
    """What a run may spend; None: as much as it takes."""

    cost: Decimal | None = None
    tokens: int | None = None


UNLIMITED = Limits()


@dataclass(frozen=True)
class Sampling:
    """How an answer is drawn, and how long it may be."""

    temperature: float
    max_tokens: int


class Line:
    """One door with its pace, which is its own where nobody else keeps it, too."""

    def __init__(self, door: Door, own: Path) -> None:
        terms = door.terms
        self.door = door
        self.pace = Pace(terms.pace or own, parallel=terms.parallel, per_minute=terms.per_minute)
        self.refused = 0  # one after another


class Asking:
    """Asks models from a thread of its own while rows are worked at in another. A context manager.

    `look` is called about twice a second while answers are waited for, and may raise what ends the
    run; `tell` takes a sentence for the run's log. `sample` is how many rows of a step are asked
    about at most. No more questions of a step are put when most of its answers are not whole,
    unless it `takes_unusable` ones. When a refusal ends the work, what is under way is paid for
    already: it is waited for and kept. Anything else ends it at once.
    """

    def __init__(
        self,
        doors: Mapping[str, Door],
        journal: Journal,
        *,
        salt: str,
        limits: Limits = UNLIMITED,
        look: Callable[[], None] = lambda: None,
        tell: Callable[[str], None] = lambda _text: None,
        sample: int | None = None,
        takes_unusable: bool = False,
    ) -> None:
        self._doors = doors
        self._journal = journal
        self._salt = salt
        self._limits = limits
        self._look = look
        self._tell = tell
        self._sample = sample
        self._takes_unusable = takes_unusable
        self._endings: defaultdict[str, Endings] = defaultdict(Endings)  # by step
        self.spent = journal.spent()
        self._held: tuple[int, Decimal] = (0, Decimal(0))  # for what is under way
        self._advised: set[str] = set()
        self._closing = False
        self._tasks: set[asyncio.Task[Any] | None] = set()
        self._under_way: set[asyncio.Task[Any] | None] = set()

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="asking", daemon=True)
        self._thread.start()
        self._own = TemporaryDirectory()
        self._lines = {
            name: Line(door, Path(self._own.name, str(number)))
            for number, (name, door) in enumerate(self._doors.items())
        }
        self._settled = asyncio.Condition()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        kept = isinstance(error, DomainError) and self._sample is None
        asyncio.run_coroutine_threadsafe(self._end(kept=kept), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._own.cleanup()
        self._journal.close()

    async def _end(self, *, kept: bool) -> None:
        self._closing = True
        tasks = {task for task in self._tasks if task}
        await _ended(tasks, cancelled=tasks - self._under_way if kept else tasks)
        for door in self._doors.values():
            await door.close()
        left = asyncio.all_tasks() - {asyncio.current_task()}  # those that doors have of their own
        await _ended(left, cancelled=left)

    def each(
        self,
        rows: Iterator[R],
        one: Callable[[R], Coroutine[Any, Any, T]],
        *,
        source: str,
        failed: Callable[[R, str], None],
    ) -> Iterator[tuple[R, T]]:
        """Each row with what `one` made of it, in their order, several at once.

        Rows whose question is refused, or whose answers are not whole or cannot be read, go to
        `failed` with the reason.
        """
        width = 2 * self._doors[source].terms.parallel
        waiting: deque[tuple[R, Future[T]]] = deque()
        for row in islice(rows, self._sample):
            work = self._known(one(row))
            waiting.append((row, asyncio.run_coroutine_threadsafe(work, self._loop)))
            if len(waiting) >= width:
                yield from self._next(waiting, failed)
        while waiting:
            yield from self._next(waiting, failed)

    async def _known(self, work: Coroutine[Any, Any, T]) -> T:
        """What is worked at, known as a task until it is done."""
        self._tasks.add(asyncio.current_task())
        try:
            return await work
        finally:
            self._tasks.discard(asyncio.current_task())

    def _next(
        self, waiting: deque[tuple[R, Future[T]]], failed: Callable[[R, str], None]
    ) -> Iterator[tuple[R, T]]:
        row, future = waiting.popleft()
        while True:
            self._look()
            try:
                found = future.result(LOOK_SECONDS)
            except TimeoutError:
                if future.done():
                    raise
            except (Refused, Unread) as trouble:
                failed(row, trouble.reason)
                return
            else:
                yield row, found
                return

    async def read(
        self,
        source: str,
        messages: Sequence[Mapping[str, str]],
        sampling: Sampling,
        *,
        place: Sequence[object],
        reader: Callable[[str], T | None],
    ) -> T:
        """What `reader` finds in the answer. It is asked again when that is None; then `Unread`.

        One that is not whole is not asked for again. `place` tells the question from all others
        with the same words; the step's comes first.
        """
        for number in range(READ_TRIES):
            text = await self.ask(source, messages, sampling, place=[*place, number])
            found = reader(text)
            if found is not None:
                return found
        self._tell(
            _("%(tries)s answers to a question could not be read. What it was about is left out.")
            % {"tries": READ_TRIES}
        )
        raise Unread

    async def ask(
        self,
        source: str,
        messages: Sequence[Mapping[str, str]],
        sampling: Sampling,
        *,
        place: Sequence[object],
    ) -> str:
        """The answer, from the journal if it was given before; `Unfinished` if it is not whole."""
        what = [source, messages, sampling.temperature, sampling.max_tokens, *map(str, place)]
        key = hashlib.blake2b(self._salt.encode() + orjson.dumps(what), digest_size=24).hexdigest()
        endings = self._endings[str(place[:1])]
        answered = self._journal.get(key)
        if answered is None:
            answered = await self._asked(source, messages, sampling, key, endings)
        trouble = unfinished(answered.finish_reason)
        endings.add(trouble)
        if trouble is None:
            return answered.text
        if trouble.reason not in self._advised:
            self._advised.add(trouble.reason)
            self._tell(trouble.advice)
        raise trouble

    async def _asked(
        self,
        source: str,
        messages: Sequence[Mapping[str, str]],
        sampling: Sampling,
        key: str,
        endings: Endings,
    ) -> Answered:
        line = self._lines[source]
        texts = [message["content"] for message in messages]
        question = {
            "messages": messages,
            "temperature": sampling.temperature,
            "max_tokens": sampling.max_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        async with line.pace.place():
            if not self._takes_unusable:
                endings.refuse_unusable(sampling.max_tokens)
            return await self._put(line, question, key, texts)

    async def _put(
        self, line: Line, question: dict[str, Any], key: str, texts: Sequence[str]
    ) -> Answered:
        trouble = ""
        for number in range(TRIES):
            try:
                answered = await self._try(line, question, key, texts)
            except Busy as busy:
                if self._closing:
                    raise asyncio.CancelledError from None
                trouble = busy.message
                await self._pause(line, busy, number)
            except Refused as refused:
                self._tell(_("A question was refused: %(why)s") % {"why": refused.message})
                line.refused += 1
                if line.refused >= REFUSALS:
                    raise _all_refused(line, refused) from None
                raise
            else:
                line.refused = 0
                return answered
        raise DomainError(
            _(
                "%(label)s did not answer a question that was put %(tries)s times; the last time:"
                " %(why)s. Go on later: what was answered is kept."
            )
            % {"label": line.door.label, "tries": TRIES, "why": trouble},
            code="no_answer",
        )

    async def _try(
        self, line: Line, question: dict[str, Any], key: str, texts: Sequence[str]
    ) -> Answered:
        """Puts the question once. What came of the answer is spent, also when it was cut off."""
        terms, most = line.door.terms, question["max_tokens"]
        held = await self._hold(terms, texts, most)
        try:
            await line.pace.turn()
            if self._closing:
                raise asyncio.CancelledError
            self._under_way.add(asyncio.current_task())
            answer = Answer(texts)
            try:
                async with line.door.ask(question, key) as chunks:
                    answered = await answer.read(chunks)
            except BaseException:  # also when the run ends meanwhile
                if (part := answer.cut_off(most)) is not None:
                    cost = _cost(terms, part.tokens_in, part.tokens_out)
                    self._journal.put_cut_off(part, cost)
                    self.spent.add_cut_off(part, cost)
                raise
            cost = _cost(terms, answered.tokens_in, answered.tokens_out)
            self._journal.put(key, answered, cost)
            self.spent.add(answered, cost)
            return answered
        finally:
            self._under_way.discard(asyncio.current_task())
            await self._release(held)

    async def _pause(self, line: Line, busy: Busy, number: int) -> None:
        """Says why a question is put again, and waits until it may be."""
        if isinstance(busy, Reworded):
            for name in busy.names:
                self._tell(change_told(line.door.label, name))
            return
        pause = busy.after
        if pause is None:
            pause = min(FIRST_PAUSE * 2**number, PAUSE_MOST) * random.uniform(0.5, 1)  # noqa: S311
        else:
            line.pace.hold(pause)
        self._tell(
            _("%(label)s: %(why)s. Asked again in %(seconds)s s.")
            % {"label": line.door.label, "why": busy.message, "seconds": f"{pause:.1f}"}
        )
        await asyncio.sleep(pause)

    async def _hold(
        self, terms: Terms, texts: Sequence[str], max_tokens: int
    ) -> tuple[int, Decimal]:
        """Sets aside what the answer may cost at most; DomainError when that is too much."""
        tokens_in = sum(map(tokens_guess, texts))
        wanted = tokens_in + max_tokens, _cost(terms, tokens_in, max_tokens)
        async with self._settled:
            while not self._fits(wanted):
                if not self._held[0]:
                    raise self._spent_up(terms)
                await self._settled.wait()
            self._held = self._held[0] + wanted[0], self._held[1] + wanted[1]
        return wanted

    def _fits(self, wanted: tuple[int, Decimal]) -> bool:
        tokens = self.spent.tokens + self._held[0] + wanted[0]
        cost = self.spent.cost + self._held[1] + wanted[1]
        limits = self._limits
        return (limits.tokens is None or tokens <= limits.tokens) and (
            limits.cost is None or cost <= limits.cost
        )

    async def _release(self, held: tuple[int, Decimal]) -> None:
        async with self._settled:
            self._held = self._held[0] - held[0], self._held[1] - held[1]
            self._settled.notify_all()

    def _spent_up(self, terms: Terms) -> DomainError:
        values = {
            "tokens": f"{self.spent.tokens:,}",
            "cost": f"{self.spent.cost:.4f}",
            "currency": terms.currency,
        }
        return DomainError(
            _(
                "The next question could exceed what the run may spend: %(tokens)s tokens and"
                " %(cost)s %(currency)s are spent. What was answered is kept: raise the limit and"
                " go on."
            )
            % values,
            code="spending_limit",
        )


async def _ended(tasks: set[asyncio.Task[Any]], *, cancelled: set[asyncio.Task[Any]]) -> None:
    """Waits until all have ended, some of them because they are cancelled."""
    for task in cancelled:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _all_refused(line: Line, refused: Refused) -> DomainError:
    return DomainError(
        _("%(label)s refuses one question after the other; the last time: %(why)s")
        % {"label": line.door.label, "why": refused.message},
        code="all_refused",
    )


def _cost(terms: Terms, tokens_in: int, tokens_out: int) -> Decimal:
    return (tokens_in * terms.price_in + tokens_out * terms.price_out) / _MILLION
