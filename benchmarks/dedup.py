"""Exact and near duplicates among many short rows: time, memory, and what is found of planted ones.

Rows are questions with answers of 120 to 250 characters, half of them Chinese. A tenth are exact
copies of earlier rows but for white space, a tenth near copies: a word or two added, replaced or
left out. Another tenth only look alike: they share half of their text with another row. They run
through the step as a recipe's rows do, from a file into a file. Recall is the share of the copies
that are dropped, precision the share of copies among what is dropped; a row whose original was
dropped for its copy counts as that copy.
"""

import argparse
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "platform")]
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django
import orjson

django.setup()

from datasets.recipes.kinds import steps_checked
from datasets.recipes.pipeline import apply
from datasets.shapes.mapping import Mapping

LEAST = 0.95
SECONDS = 300
ROWS_OF_LIMIT = 1_000_000
MAPPING = Mapping.of("alpaca", {"prompt": "q", "response": "a"})
LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Maker:
    """Makes rows by chance: new ones, and changed copies."""

    def __init__(self, seed: int) -> None:
        self.drawn = random.Random(seed)
        self.words = [
            "".join(self.drawn.choices(LETTERS, k=self.drawn.randrange(2, 10)))
            for _ in range(20_000)
        ]
        self.signs = [chr(0x4E00 + number) for number in range(3000)]

    def new(self, *, chinese: bool) -> list[str]:
        """Words, or Chinese signs, of a new row."""
        if chinese:
            return self.drawn.choices(self.signs, k=self.drawn.randrange(120, 220))
        return self.drawn.choices(self.words, k=self.drawn.randrange(24, 40))

    def near(self, words: list[str], pool: list[str]) -> list[str]:
        """The same with one or two words added, replaced or left out."""
        found = list(words)
        times = self.drawn.randrange(1, 4) if pool is self.signs else 1
        for _ in range(times):
            place = self.drawn.randrange(1, len(found) - 1)
            change = self.drawn.randrange(3)
            found[place : place + (change > 0)] = [self.drawn.choice(pool)] * (change < 2)
        return found


def rows(count: int, seed: int) -> Iterator[tuple[dict[str, str], bool]]:
    """Rows, and whether each is a copy of an earlier one."""
    maker = Maker(seed)
    seen: list[tuple[list[str], bool]] = []
    for number in range(count):
        kind = number % 10 if len(seen) > 100 else 9
        if kind > 2:
            chinese = number % 2 == 0
            words = maker.new(chinese=chinese)
            if len(seen) < 50_000:  # originals are chosen among these
                seen.append((words, chinese))
            yield _row(words, chinese), False
            continue
        words, chinese = maker.drawn.choice(seen)
        pool = maker.signs if chinese else maker.words
        if kind == 0:
            row = _row(words, chinese)
            yield {"q": f" {row['q']} ", "a": row["a"]}, True
        elif kind == 1:
            yield _row(maker.near(words, pool), chinese), True
        else:
            half = maker.new(chinese=chinese)[len(words) // 2 :]
            yield _row([*words[: len(words) // 2], *half], chinese), False


def _row(words: list[str], chinese: bool) -> dict[str, str]:
    join, third = ("" if chinese else " "), len(words) // 3
    return {"q": join.join(words[:third]), "a": join.join(words[third:])}


def lines(path: Path) -> Iterator[Any]:
    """The rows of the file."""
    with path.open("rb") as file:
        for line in file:
            yield orjson.loads(line)


def main() -> None:
    """Prints time, memory, recall and precision."""
    from running import verdict  # beside this file; tests import it from elsewhere

    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=ROWS_OF_LIMIT)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--mode", choices=("exact", "near"), default="near")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "rows.jsonl", Path(folder) / "made.jsonl"
        copies = bytearray()
        with source.open("wb") as file:
            for row, is_copy in rows(given.rows, given.seed):
                file.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
                copies.append(is_copy)
        before = resource.getrusage(resource.RUSAGE_SELF)
        steps = steps_checked([{"kind": "deduplicate", "parameters": {"mode": given.mode}}])
        began = time.monotonic()
        kept, outcomes = apply(
            lines(source), steps, mapping=MAPPING, seed=1, folder=Path(folder) / "steps"
        )
        left = bytearray(given.rows)
        with target.open("wb") as file:
            for one in kept:
                left[one.number] = 1
                file.write(orjson.dumps(one.value, option=orjson.OPT_APPEND_NEWLINE))
        seconds = time.monotonic() - began
        size = source.stat().st_size
    after = resource.getrusage(resource.RUSAGE_SELF)
    dropped = given.rows - sum(left)
    right = sum(is_copy and not here for is_copy, here in zip(copies, left, strict=True))
    recall, precision = right / max(sum(copies), 1), right / max(dropped, 1)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{given.rows} rows, {size / 1e6:.0f} MB, {given.mode}: {seconds:.1f} s")
    most, at_first = after.ru_maxrss / 1024, before.ru_maxrss / 1024
    print(f"  processor {busy:.1f} s, memory {most:.0f} MB ({at_first:.0f} MB before)")
    print(f"  {sum(copies)} copies planted, {dropped} dropped ({dict(outcomes[0].dropped)})")
    least = LEAST if given.mode == "near" else LEAST / 2
    verdict("recall", recall, "", goal=f"at least {least:g}", met=recall >= least)
    verdict("precision", precision, "", goal=f"at least {LEAST}", met=precision >= LEAST)
    goal = f"under {SECONDS} s for {ROWS_OF_LIMIT} rows"
    allowed = SECONDS * max(given.rows, ROWS_OF_LIMIT) / ROWS_OF_LIMIT
    verdict("time", seconds, "s", goal=goal, met=seconds < allowed)


if __name__ == "__main__":
    main()
