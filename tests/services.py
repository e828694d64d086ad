"""Which parts that tests need are reachable here, and what to say of those that are not.

A test marked `engine`, `browser`, `postgres`, `redis`, `docker` or `machines` runs where that
part is there. With TRAINER_REQUIRE_ALL=1 a missing part fails the run.
"""

import os
import shutil
import socket
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.dockerd import BASE, Engine

ROOT = Path(__file__).resolve().parents[1]
REQUIRE_ALL = os.environ.get("TRAINER_REQUIRE_ALL") == "1"
POSTGRES_URL = os.environ.get("TRAINER_TEST_POSTGRES", "")
REDIS_URL = os.environ.get("TRAINER_TEST_REDIS", "")
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
DOCKER_DIR = os.environ.get("TRAINER_TEST_DOCKER", "")  # see tests/dockerd.py


def _listens(url: str, default_port: int) -> bool:
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or default_port), 2):
            return True
    except OSError:
        return False


def engines_dir() -> Path:
    """Where the engine environments are installed."""
    return Path(os.environ.get("TRAINER_ENGINES_DIR", ROOT / "var" / "engines"))


def chromium() -> str:
    """The browser's program, empty when there is none."""
    return os.environ.get("TRAINER_CHROMIUM") or shutil.which("chromium") or ""


@cache
def missing(part: str) -> str:
    """Why tests of this part cannot run here; empty when they can."""
    if part == "engine":
        found = (engines_dir() / "llamafactory" / "engine.json").exists()
        return "" if found else f"no engine in {engines_dir()}: run `make engine`"
    if part == "browser":
        return "" if chromium() else "no chromium: install it or set TRAINER_CHROMIUM"
    if part == "postgres":
        if not POSTGRES_URL:
            return "TRAINER_TEST_POSTGRES is not set"
        return "" if _listens(POSTGRES_URL, 5432) else "no PostgreSQL at TRAINER_TEST_POSTGRES"
    if part == "redis":
        if not REDIS_URL:
            return "TRAINER_TEST_REDIS is not set"
        return "" if _listens(REDIS_URL, 6379) else "no Redis at TRAINER_TEST_REDIS"
    if part == "docker":
        return _lacks_docker()
    if part == "machines":
        return _lacks_machines()
    raise ValueError(part)


def _lacks_docker() -> str:
    if not DOCKER_DIR:
        return "TRAINER_TEST_DOCKER is not set: see tests/dockerd.py"
    if not shutil.which("docker-registry"):
        return "no docker-registry: install it"
    engine = Engine(Path(DOCKER_DIR))
    if not engine.answers():
        return f"no Docker Engine at {engine.host}"
    found = engine.client().images.list(name=BASE)
    return "" if found else f"no image {BASE} there: import one that has /usr/bin/python3"


def _lacks_machines() -> str:
    if os.geteuid():
        return "namespaces need root"
    if not FAKETIME.exists() or not shutil.which("redis-server"):
        return "no libfaketime or no redis-server: install them"
    found = list(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return "" if found else "no PostgreSQL server: install it"


PARTS = ("engine", "browser", "postgres", "redis", "docker", "machines")
DATABASE = {"db", "transactional_db", "django_db_setup"}  # fixtures
AGAIN = "TRAINER_TEST_AGAIN"  # set where all tests run elsewhere, too, on another database


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out the tests whose part is missing, or fails the run when all parts are required;
    where they run again, also those that another database makes no difference to."""
    if os.environ.get(AGAIN):
        alike = [item for item in items if not _differs(item)]
        items[:] = [item for item in items if _differs(item)]
        config.hook.pytest_deselected(items=alike)
    for part in PARTS:
        marked = [item for item in items if item.get_closest_marker(part)]
        if not marked or not missing(part):
            continue
        if REQUIRE_ALL:
            pytest.exit(f"{part} is required: {missing(part)}", returncode=1)
        for item in marked:
            item.add_marker(pytest.mark.skip(reason=f"{part}: {missing(part)}"))


def _differs(item: pytest.Item) -> bool:
    if item.get_closest_marker("once"):
        return False
    if any(item.get_closest_marker(name) for name in ("grown", "django_db", *PARTS)):
        return True
    return bool(DATABASE & set(getattr(item, "fixturenames", ())))
