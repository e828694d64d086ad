"""A benchmark that is cut off leaves nothing behind: no platform, no training, no directory."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from benchmarks.guard import belonging
from tests.nodes.conftest import until
from tests.services import ROOT

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(
        "TRAINER_DATABASE_URL" in os.environ, reason="it makes a database of its own, on SQLite"
    ),
]
SCRIPT = ROOT / "benchmarks" / "start_latency.py"


def _lines(processes: list[psutil.Process]) -> str:
    lines = []
    for process in processes:
        try:
            lines.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return "\n".join(lines)


def _send(number: int) -> Callable[[subprocess.Popen[str], Path], None]:
    return lambda benchmark, home: benchmark.send_signal(number)


def _kill_platform(benchmark: subprocess.Popen[str], home: Path) -> None:
    for process in belonging(home):
        with suppress(psutil.NoSuchProcess):
            if "serve" in process.cmdline():
                process.kill()


@pytest.mark.parametrize(
    ("cut", "code"),
    [
        pytest.param(_send(signal.SIGTERM), 143, id="terminated"),
        pytest.param(_send(signal.SIGKILL), -9, id="killed"),
        pytest.param(_kill_platform, 1, id="a step fails"),
    ],
)
def test_nothing_is_left(
    tmp_path: Path, cut: Callable[[subprocess.Popen[str], Path], None], code: int
) -> None:
    benchmark = subprocess.Popen(
        [sys.executable, str(SCRIPT), "--rounds", "100"],
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until(lambda: list(tmp_path.glob("trainer-bench-*")) or benchmark.poll() is not None)
        (home,) = tmp_path.glob("trainer-bench-*")
        # The engine runs in the middle of a round, beside all parts of the platform.
        until(lambda: "trainer_runtime" in _lines(belonging(home)))
        assert "uvicorn" in _lines(belonging(home))
        cut(benchmark, home)
        _out, errors = benchmark.communicate(timeout=180)
        assert benchmark.returncode == code
        assert ("failed: " in errors) is (code == 1)
        until(lambda: not home.exists())  # of a killed one the guard goes on alone
        assert _lines(belonging(home)) == ""
    finally:
        benchmark.kill()
        benchmark.wait()


def test_a_missing_engine_is_a_failure(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT)],
        env=os.environ | {"TMPDIR": str(tmp_path), "TRAINER_ENGINES_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "make engine" in done.stderr
    assert list(tmp_path.iterdir()) == []
