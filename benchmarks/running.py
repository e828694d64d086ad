"""What all benchmarks share: a platform that goes when they go, and how they tell what they found.

A benchmark fails, with status 1 and the reason, when a step of it fails. A figure that misses its
goal is no failure: machines differ. It is called missed.
"""

import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.e2e.running import Platform, Upload, prepared
from tests.services import missing

GUARD = Path(__file__).with_name("guard.py")
PASSWORD = "a-long-Passw0rd"  # of everybody whom `Platform.register` registers
LOG_BYTES = 3000  # of the platform's own words after a failure


class Failed(Exception):
    """A step went wrong; the text says which and why."""


def run(measure: Callable[[], None], compares: str) -> None:
    """Runs a benchmark under a header with what it compares; ends the process with its status."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _cut_off)
    print(f"{Path(sys.argv[0]).stem}: {compares}")
    print(f"machine: {_machine()}", flush=True)
    try:
        measure()
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except (Failed, AssertionError, OSError, EOFError, subprocess.SubprocessError) as error:
        sys.exit(f"failed: {type(error).__name__}: {error}")
    print(f"load at the end: {os.getloadavg()[0]:.2f}")


def _cut_off(number: int, _frame: object) -> None:
    sys.exit(128 + number)


def _machine() -> str:
    memory = psutil.virtual_memory()
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    return (
        f"{psutil.cpu_count()} CPUs, load {load} (1, 5 and 15 minutes),"
        f" {memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GB of memory free"
    )


@contextlib.contextmanager
def guarded_home() -> Iterator[Path]:
    """A directory that goes when the benchmark ends, however it ends, with what runs in it."""
    home = Path(tempfile.mkdtemp(prefix="trainer-bench-"))
    guard = subprocess.Popen(
        [sys.executable, str(GUARD), str(home)], stdin=subprocess.PIPE, start_new_session=True
    )
    assert guard.stdin is not None
    try:
        yield home
    finally:
        guard.stdin.close()
        guard.wait()


@contextlib.contextmanager
def platform(**env: str) -> Iterator[Platform]:
    """A really started platform with a home of its own, on SQLite, with engine and demo model.

    `env` goes to its environment.
    """
    if reason := missing("engine"):
        raise Failed(reason)
    with guarded_home() as home:
        running = prepared(home)
        running.env |= env
        running.start()
        try:
            yield running
        except (Failed, AssertionError, OSError):
            print((home / "serve.log").read_text()[-LOG_BYTES:], file=sys.stderr)
            raise


def session(running: Platform, name: str) -> str:
    """The cookie of a person who logs in as a browser does."""
    jar = CookieJar()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    address = f"{running.url}/account/login/"
    browser.open(address).close()
    token = next(cookie.value for cookie in jar if cookie.name == "csrftoken")
    form = {"csrfmiddlewaretoken": token, "login": name, "password": PASSWORD}
    browser.open(address, urllib.parse.urlencode(form).encode()).close()
    return next(f"sessionid={cookie.value}" for cookie in jar if cookie.name == "sessionid")


def demo_job(running: Platform, key: str, **settings: Any) -> dict[str, Any]:
    """What to submit for a training of the demo model on the demo's data, which is uploaded."""
    demo = ROOT / "deploy" / "demo"
    upload = Upload({"name": "bench"}, "dataset.jsonl", (demo / "dataset.jsonl").read_bytes())
    data = running.call("POST", "/api/v1/datasets/", upload, key)["latest_version"]
    base = running.call("GET", "/api/v1/model-versions/?kind=base&source=demo", key=key)
    recipe = json.loads((demo / "train.json").read_text("utf-8"))
    recipe["settings"] |= settings
    return {
        "kind": "train",
        "name": "bench",
        "model_version": base["results"][0]["id"],
        "dataset_versions": [data["id"]],
        **recipe,
    }


def web_processes(running: Platform) -> list[psutil.Process]:
    """The process that answers requests, and its children."""
    found = running.parts("uvicorn", "config.asgi:application")
    if len(found) != 1:
        raise Failed(f"{len(found)} web processes instead of one")
    return [*found, *found[0].children(recursive=True)]


def verdict(name: str, value: float, unit: str, *, goal: str, met: bool) -> None:
    """One line: a figure, what is wanted, and whether it is so."""
    digits = 3 if abs(value) < 10 else 0
    print(f"{name}: {value:.{digits}f} {unit}".rstrip(), end=" ")
    print(f"— {'met' if met else 'MISSED'} (wanted: {goal})", flush=True)


def p95(values: Sequence[float]) -> float:
    """The value that 95 of 100 do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]


def spread(name: str, seconds: Sequence[float]) -> None:
    """One line: median, 95th percentile and the longest, in milliseconds."""
    middle, late, longest = statistics.median(seconds), p95(seconds), max(seconds)
    print(
        f"{name}: p50 {middle * 1000:.0f} ms, p95 {late * 1000:.0f} ms,"
        f" max {longest * 1000:.0f} ms of {len(seconds)}",
        flush=True,
    )
