"""All tests: as a fresh installation stands (SQLite, no Redis), and as a grown one stands.

Where TRAINER_TEST_POSTGRES (postgres://…) and TRAINER_TEST_REDIS (redis://…) name reachable
servers, what needs neither browser nor engine runs on both, at the same time; what uses no database
runs on the fresh one alone, and what needs containers on the grown one, whose Engine it may kill,
as does what PostgreSQL is stricter about (marker `grown`).
Whichever is done first goes on with what needs browser or engine, as a fresh installation stands,
and the other one with the last of it. Arguments are handed to pytest, which then runs once, in that
way, too.
"""

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTEST = [sys.executable, "-m", "pytest"]
QUICK, HEAVY = "not browser and not engine", "browser or engine"
TOGETHER = ("tests/e2e", "tests/docs", "tests/inference", "tests/jobs")  # share one platform
FRESH = f"{QUICK} and not docker and not grown"  # where the grown one runs beside it
sys.path.insert(0, str(ROOT))

from tests import services  # noqa: E402


def main() -> int:
    """The exit status: 0 when every pass was green."""
    lacking = {part: services.missing(part) for part in services.PARTS if services.missing(part)}
    for part, why in lacking.items():
        print(f"not run: tests that need {part} ({why})", flush=True)
    if lacking and services.REQUIRE_ALL:
        print("TRAINER_REQUIRE_ALL=1: a missing part is a failure.")
        return 1
    if sys.argv[1:]:
        return fresh(*sys.argv[1:])
    if {"postgres", "redis"} & set(lacking):
        return fresh()
    return on_both()


def fresh(*arguments: str) -> int:
    """On SQLite, without Redis."""
    return subprocess.run([*PYTEST, *arguments], cwd=ROOT, check=False).returncode


def on_both() -> int:
    """What is quick on SQLite and, at the same time, on PostgreSQL and Redis; then the rest."""
    grown = {
        "TRAINER_DATABASE_URL": services.POSTGRES_URL,
        "TRAINER_REDIS_URL": services.REDIS_URL,
        services.AGAIN: "1",
    }
    others = [f"--ignore={folder}" for folder in TOGETHER]
    with ThreadPoolExecutor(2) as lanes:
        # A red one hides nothing: the others are run all the same.
        ended = [
            lanes.submit(told, "On PostgreSQL and Redis", "-m", QUICK, **grown),
            lanes.submit(told, "On SQLite", "-m", FRESH),
            lanes.submit(told, "With browser or engine", "-m", HEAVY, *TOGETHER),
            lanes.submit(told, "With the engine alone", "-m", HEAVY, *others),
        ]
    return max(abs(one.result()) for one in ended)


def told(what: str, *arguments: str, **settings: str) -> int:
    """Runs pytest and prints what it said when it has ended, for another runs beside it."""
    command = [*PYTEST, "-p", "no:cacheprovider", *arguments]
    with tempfile.TemporaryFile("w+") as said:
        done = subprocess.run(
            command, cwd=ROOT, env=os.environ | settings, stdout=said, stderr=said, check=False
        )
        said.seek(0)
        print(f"\n{what}:\n{said.read()}", flush=True)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
