"""All tests: once as a fresh installation stands (SQLite, no Redis), once as a grown one stands.

The second pass runs everything that needs neither browser nor engine on PostgreSQL and Redis, where
TRAINER_TEST_POSTGRES (postgres://…) and TRAINER_TEST_REDIS (redis://…) name reachable servers.
Arguments are handed to pytest in the first pass; with arguments the second pass is left out.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests import services  # noqa: E402


def main() -> int:
    """The exit status: 0 when every pass was green."""
    pytest = [sys.executable, "-m", "pytest"]
    lacking = {part: services.missing(part) for part in services.PARTS if services.missing(part)}
    for part, why in lacking.items():
        print(f"not run: tests that need {part} ({why})", flush=True)
    if lacking and services.REQUIRE_ALL:
        print("TRAINER_REQUIRE_ALL=1: a missing part is a failure.")
        return 1
    arguments = sys.argv[1:]
    failed = subprocess.run([*pytest, *arguments], cwd=ROOT, check=False).returncode
    if arguments or failed or {"postgres", "redis"} & set(lacking):
        return failed
    print("\nThe same on PostgreSQL and Redis:", flush=True)
    grown = os.environ | {
        "TRAINER_DATABASE_URL": services.POSTGRES_URL,
        "TRAINER_REDIS_URL": services.REDIS_URL,
    }
    quick = [*pytest, "-m", "not browser and not engine"]
    return subprocess.run(quick, cwd=ROOT, env=grown, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
