"""All tests: as a fresh installation stands (SQLite, no Redis), and as a grown one stands.

Where TRAINER_TEST_POSTGRES (postgres://…) and TRAINER_TEST_REDIS (redis://…) name reachable
servers, what needs neither browser nor engine runs on both, at the same time; what uses no database
runs on the fresh one alone, and what needs containers on the grown one, whose Engine it may kill,
as does what PostgreSQL is stricter about (marker `grown`).
The fresh one, which has less to do, goes on with what needs browser or engine. Arguments are handed
to pytest, which then runs once, as a fresh installation stands.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTEST = [sys.executable, "-m", "pytest"]
QUICK, HEAVY = "not browser and not engine", "browser or engine"
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
    """Everything on SQLite, and at the same time what is quick on PostgreSQL and Redis."""
    env = os.environ | {
        "TRAINER_DATABASE_URL": services.POSTGRES_URL,
        "TRAINER_REDIS_URL": services.REDIS_URL,
        services.AGAIN: "1",
    }
    with tempfile.TemporaryFile("w+") as said:
        command = [*PYTEST, "-p", "no:cacheprovider", "-m", QUICK]
        grown = subprocess.Popen(command, cwd=ROOT, env=env, stdout=said, stderr=said)
        try:
            # A red one hides nothing: the others are run all the same.
            ended = [fresh("-m", FRESH), fresh("-m", HEAVY), grown.wait()]
        finally:
            grown.kill()
        said.seek(0)
        print(f"\nThe same on PostgreSQL and Redis:\n{said.read()}", flush=True)
    return max(map(abs, ended))


if __name__ == "__main__":
    sys.exit(main())
