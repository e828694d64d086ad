"""Two versions of many rows compared, and decisions on rows of one saved as the next version.

In a home of its own, with the processes that the platform's queue starts for big versions: how long
each takes, and the most memory that it holds. The first pair has a tenth of its rows edited, a
hundredth taken out and a hundredth put in. In the second every row is rewritten, question and
answer, as a step that cleans does it: no row is as it was, and only likeness tells which belong
together. Saved are as many decisions as one draft holds, half of them rows left out.
"""

import argparse
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
from running import ROOT, Failed, guarded_home, run, verdict

from data import blocks
from tests.e2e.running import MANAGE

sys.path.insert(0, str(ROOT / "platform"))

MB = 1_000_000
SECONDS, LIMIT_MB = 60, 1000  # wanted for `ROWS`
ROWS = 1_000_000
ROW_BYTES = 5000  # of disk that a row takes, in all versions together
COLUMNS = {"prompt": "instruction", "query": "input", "response": "output"}
SIMPLER = str.maketrans("的了，", "地啦,")


def rows(count: int) -> Iterator[dict[str, str]]:
    """Questions with answers, in Chinese and English."""
    lines = (line for block in blocks(sys.maxsize) for line in block.splitlines())
    return map(orjson.loads, itertools.islice(lines, count))


def edited(count: int) -> Iterator[dict[str, str]]:
    """The rows with every tenth answer edited, every hundredth row gone, and as many new ones."""
    for number, row in enumerate(rows(count)):
        if number % 100 == 7:
            yield {**row, "instruction": f"New {number}", "output": f"A new answer {number}"}
        elif number % 100 != 8:
            yield {**row, "output": f"{row['output']} Amen."} if number % 10 == 3 else row


def rewritten(count: int) -> Iterator[dict[str, str]]:
    """The rows with other words in each of their texts."""
    for row in rows(count):
        texts = {name: text.translate(SIMPLER).replace("the", "thee") for name, text in row.items()}
        yield {**texts, "instruction": f"Well: {texts['instruction']}"}


class Workshop:
    """A dataset in this home, whose versions are written without an upload."""

    def __init__(self, home: Path, count: int) -> None:
        os.environ |= {"TRAINER_HOME": str(home), "DJANGO_SETTINGS_MODULE": "config.settings"}
        self.count = count
        for command in (("migrate", "--verbosity", "0"), ("createcachetable",)):
            subprocess.run([*MANAGE, *command], check=True, stderr=subprocess.DEVNULL)
        import django

        django.setup()
        from accounts.models import Project, User
        from datasets.models import Dataset

        self.user = User.objects.create(username="bench", email="bench@example.org", is_staff=True)
        project = Project.objects.create(name="bench", max_storage_bytes=sys.maxsize)
        self.dataset = Dataset.objects.create(name="bench", project=project)

    def version(self, made: Callable[[int], Iterator[dict[str, str]]]) -> Any:
        """A version that is ready, with these rows."""
        from datasets.models import DatasetVersion
        from datasets.reading.indexed import IndexedWriter

        version = DatasetVersion(
            dataset=self.dataset,
            number=self.dataset.versions.count() + 1,
            state=DatasetVersion.State.READY,
            shape="alpaca",
            columns=COLUMNS,
            file_columns=[*COLUMNS.values(), "source"],
            file_format="jsonl",
            report={"entry": {}},
        )
        version.directory.mkdir(parents=True)
        with IndexedWriter(version.rows_path) as writer:
            for row in made(self.count):
                writer.write(row, writer.count + 1)
        version.rows = writer.count
        version.bytes = version.stored_bytes = version.rows_path.stat().st_size
        version.save()
        return version

    def compare(self, name: str, before: Any, after: Any) -> None:
        """Has both compared by the process for it."""
        from datasets.models import Comparison

        comparison = Comparison.objects.create(before=before, after=after)
        self._work(f"comparing, {name}", "versions_compare", comparison)
        if comparison.state != Comparison.State.DONE:
            raise Failed(f"{comparison.state}: {comparison.problem}")
        print("  " + ", ".join(f"{n:,} {kind}" for kind, n in comparison.counts.items()))

    def save(self, version: Any) -> None:
        """Has decisions on rows saved and the new version checked by the process for it."""
        from datasets.models import Revision, RowDecision
        from datasets.services.edits import DECISIONS_MAX

        verdicts = RowDecision.Verdict
        revision = Revision.objects.create(
            version=version, state=Revision.State.SAVING, saved_by=self.user
        )
        number = min(DECISIONS_MAX, self.count // 2)
        chosen = range(0, self.count - 1, self.count // number)[:number]
        value = orjson.dumps(next(rows(1))).decode()
        RowDecision.objects.bulk_create(
            RowDecision(revision=revision, row=row, verdict=verdicts.EXCLUDED)
            if place % 2
            else RowDecision(revision=revision, row=row, verdict=verdicts.CHANGED, value=value)
            for place, row in enumerate(chosen)
        )
        self._work(f"saving {len(chosen):,} decisions", "revision_write", revision)
        if revision.result is None or revision.result.state != version.State.READY:
            raise Failed(f"{revision.state}: {revision.problem or revision.result}")
        print(f"  {revision.result.rows:,} rows of {version.rows:,}")

    def _work(self, name: str, command: str, row: Any) -> None:
        """Runs a command on a row, and says what it took."""
        began = time.monotonic()
        child = subprocess.Popen([*MANAGE, command, "--skip-checks", str(row.pk)])
        try:
            _pid, status, used = os.wait4(child.pid, 0)
        except BaseException:
            child.kill()
            raise
        seconds, most = time.monotonic() - began, used.ru_maxrss * 1024 / MB
        if status:
            raise Failed(f"{command} ended with {os.waitstatus_to_exitcode(status)}")
        row.refresh_from_db()
        busy = used.ru_utime + used.ru_stime
        print(f"{name}: {seconds:.1f} s, processor {busy:.1f} s, {most:.0f} MB")
        allowed = SECONDS * max(self.count, ROWS) / ROWS
        goal = f"under {SECONDS} s for {ROWS:,} rows"
        verdict("  time", seconds, "s", goal=goal, met=seconds < allowed)
        wanted = f"under {LIMIT_MB} MB"
        verdict("  most memory", most, "MB", goal=wanted, met=most < LIMIT_MB)


def main(count: int) -> None:
    """Both pairs, and then the decisions."""
    if shutil.disk_usage(tempfile.gettempdir()).free < count * ROW_BYTES:
        raise Failed(f"{count * ROW_BYTES // MB} MB of disk are needed in {tempfile.gettempdir()}")
    with guarded_home() as home:
        workshop = Workshop(home, count)
        first = workshop.version(rows)
        print(f"{count:,} rows, {first.bytes / MB:.0f} MB", flush=True)
        for name, made in (("a tenth edited", edited), ("all rewritten", rewritten)):
            second = workshop.version(made)
            workshop.compare(name, first, second)
            shutil.rmtree(second.directory)
        workshop.save(first)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    given = parser.parse_args()
    run(lambda: main(given.rows), "versions of many rows compared, and decisions on rows saved")
