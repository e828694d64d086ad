"""All that is counted of a version's rows, in one pass over them and a second over a sample."""

from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets.checking import FINDINGS, LENGTHS, Spread, counted_every
from datasets.preparing import Progress
from datasets.reading.indexed import IndexedReader
from datasets.recipes.languages import Recogniser
from datasets.recipes.masking import Masker
from datasets.recipes.placeholders import RowNumbers
from datasets.recipes.ratios import symbols
from datasets.recipes.rows import decoded, mark_of, plain, texts_key, texts_of
from datasets.shapes.mapping import Mapping
from datasets.statistics.columns import Columns
from datasets.statistics.drawing import drawn
from datasets.statistics.facts import (
    DROPPED,
    DUPLICATE,
    ESTIMATED,
    LOOKED,
    PERSONAL,
    WARNED,
    Facts,
    facts_write,
)
from datasets.statistics.languages import LANGUAGES
from datasets.statistics.outliers import Repetitions, outliers_find

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMAT = 3  # of what is counted; versions counted in an earlier one are counted again
SAMPLE_BYTES = 8 * 2**20  # of rows in which language, personal data and repetition are sought
TEXT_MAX = 20_000  # characters of a row in which personal data are sought
SOUGHT = ["key", "email", "id_card", "bank_card", "phone", "ip"]  # what patterns tell for certain
EXTREMES = 5
TURNS_MAX = 20  # more turns are counted together


def statistics_compute(
    rows: Path, check: Path, target: Path, mapping: Mapping, *, progress: Progress
) -> dict[str, Any]:
    """Counts everything, and writes `facts.bin` and `order.bin` into `target`.

    `check` is the folder of the check, which counted the tokens, and of an earlier count. Every
    number that comes from a sample stands beside the count of rows that were looked at.
    """
    reader = IndexedReader(rows)
    counter = _Counter(reader, check, mapping)
    counter.read(lambda share: progress("counting", 0.6 * share))
    sample = _Sample(reader, counter.facts, mapping)
    found = sample.look(lambda share: progress("looking", 0.6 + 0.4 * share))
    outliers = outliers_find(counter.facts, sample.repetitions)
    table = counter.facts.table()
    order = facts_write(table, target, check)
    usable = len(order)
    return {
        "rows": len(table),
        "usable": usable,
        "turns": counter.turns_shown(),
        "lengths": counter.lengths(usable),
        "columns": counter.columns.gaps(),
        "balance": counter.columns.balance(),
        "shortest": _extremes(table, order[:EXTREMES]),
        "longest": _extremes(table, order[::-1][:EXTREMES]),
        "outliers": outliers,
        "duplicates": int((table["flags"] & DUPLICATE > 0).sum()),
        **found,
    }


def _extremes(table: "NDArray[Any]", numbers: "NDArray[Any]") -> list[dict[str, Any]]:
    return [
        {
            "row": int(number) + 1,
            "length": int(table[number]["length"]),
            "estimated": bool(table[number]["flags"] & ESTIMATED),
        }
        for number in numbers
    ]


class _Counter:
    """What is counted of all rows."""

    def __init__(self, reader: IndexedReader, check: Path, mapping: Mapping) -> None:
        self._reader = reader
        self._mapping = mapping
        self._findings = _flags_of(check / FINDINGS)
        self._finding = next(self._findings, None)
        self._lengths = array("I")
        if (check / LENGTHS).exists():
            self._lengths.frombytes((check / LENGTHS).read_bytes())
        self._every = counted_every(reader)
        self._usable = 0
        self._turns: Counter[int] = Counter()
        self.facts = Facts()
        self.columns = Columns()

    def read(self, progress: Any) -> None:
        """The one pass over all rows."""
        mapping = plain(self._mapping)
        for number, _line, value in self._reader.all():
            self.columns.add(value)
            row = decoded(value, self._mapping)
            texts = texts_of(row, mapping)
            flags = self._flags(number)
            is_dropped = bool(flags & DROPPED)
            turns = _turns_of(tuple([role for role, _text in texts]))
            if not is_dropped:
                self._turns[min(turns, TURNS_MAX)] += 1
            self.facts.add(
                characters=sum([len(text) for _role, text in texts]),
                turns=turns,
                key=texts_key(texts, row, mark_of(row, mapping)),
                flags=flags,
                tokens=0 if is_dropped else self._tokens(),
                symbols=0.0 if is_dropped else symbols(_joined(texts)),
            )
            if number % 1024 == 0:
                progress(number / self._reader.count)

    def _flags(self, number: int) -> int:
        flags = 0
        while self._finding and self._finding[0] == number:
            flags |= self._finding[1]
            self._finding = next(self._findings, None)
        return flags

    def _tokens(self) -> int:
        """What the check counted for the next usable row; 0 where it did not."""
        self._usable += 1
        place, left = divmod(self._usable, self._every)
        return self._lengths[place - 1] if not left and place <= len(self._lengths) else 0

    def turns_shown(self) -> list[list[int]]:
        """How many usable rows have how many turns; the last may stand for more."""
        return [[turns, count] for turns, count in sorted(self._turns.items())]

    def lengths(self, usable: int) -> dict[str, Any]:
        """How long usable rows are: tokens of those that were counted, else characters of all."""
        spread = Spread()
        for length, times in Counter(self._lengths or self._characters()).items():
            spread.add(length, times)
        found = spread.summary()
        found.pop("histogram", None)
        return found | {
            "unit": "tokens" if self._lengths else "characters",
            "rows": usable,
            "buckets": spread.buckets(),
        }

    def _characters(self) -> Iterator[int]:
        for length, flags in zip(self.facts.characters, self.facts.flags, strict=True):
            if not flags & DROPPED:
                yield length


@lru_cache(maxsize=256)  # most rows have the roles of others
def _turns_of(roles: tuple[str, ...]) -> int:
    """How often the speaker changes; of two answers to choose from only one is a turn."""
    said = [role for role in roles if role not in {"system", "rejected"}]
    return sum(role != before for role, before in zip(said, ["", *said], strict=False))


def _joined(texts: list[tuple[str, str]]) -> str:
    return "\n".join([text for _role, text in texts])


def _flags_of(findings: Path) -> Iterator[tuple[int, int]]:
    """Rows that have findings, in order, with what they mean for the row."""
    for _number, _line, entry in IndexedReader(findings).all():
        yield entry["row"], DROPPED if entry["drops"] else WARNED


class _Sample:
    """What is sought in a sample: all rows of a small file, of others so many as hold 8 MB."""

    def __init__(self, reader: IndexedReader, facts: Facts, mapping: Mapping) -> None:
        self._reader = reader
        self._facts = facts
        self._mapping = mapping
        self._numbers = drawn(reader.count, SAMPLE_BYTES / max(reader.size, 1))
        self._looked = 0
        self._languages: Counter[str] = Counter()
        self._recogniser = Recogniser()
        self._personal: Counter[str] = Counter()
        self._personal_rows = 0
        self.repetitions = Repetitions()

    def look(self, progress: Callable[[float], None]) -> dict[str, Any]:
        """Looks for all of it at once."""
        mapping = plain(self._mapping)
        for number, value in self._reader.some(self._numbers):
            texts = texts_of(decoded(value, self._mapping), mapping)
            self._look_at(number, _joined(texts))
            self._looked += 1
            if self._looked % 256 == 0:
                progress(self._looked / len(self._numbers))
        return {
            "looked": self._looked,
            "languages": dict(self._languages.most_common()),
            "personal": {"rows": self._personal_rows, "kinds": dict(self._personal.most_common())},
        }

    def _look_at(self, number: int, text: str) -> None:
        self.repetitions.add(number, text)
        language = self._recogniser.language(text)
        self._languages[language] += 1
        self._facts.languages[number] = LANGUAGES.index(language)
        masker = Masker(SOUGHT, RowNumbers(None))
        masker.masked(text[:TEXT_MAX])
        self._personal.update(masker.found)
        self._personal_rows += bool(masker.found)
        self._facts.flags[number] |= LOOKED | (PERSONAL if masker.found else 0)
