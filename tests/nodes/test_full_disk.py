"""A workload fills the disk: its supervisor still holds it, ends it and tells how it ended."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.nodes.conftest import alive, followed, is_there, process_facts, start, until
from tests.services import REQUIRE_ALL

pytestmark = pytest.mark.django_db(transaction=True)
FILLS = """
def fill():
    target = os.open("fill", os.O_CREAT | os.O_WRONLY)
    for where, size in ((target, 65536), (target, 1), (1, 1)):
        try:
            while os.write(where, b"." * size):
                pass
        except OSError:
            continue
    os.close(target)
    os.mkdir("filled")
"""
WAITS = f"""import signal, time
signal.signal(signal.SIGTERM, signal.SIG_DFL)
{FILLS}
fill()
time.sleep(300)"""
ENDS_WELL = f"""import glob
with open("result-1.json", "w") as file:
    file.write('{{"epoch": 1, "status": "finished"}}')
for path in glob.glob(LOST):
    os.unlink(path)
{FILLS}
fill()
os._exit(0)"""


@pytest.fixture
def small_disk(home: Path, settings) -> Iterator[Path]:
    """The installation's directory on a disk of a megabyte."""
    settings.NODE_RESERVE_BYTES = 0
    folders = [path.name for path in home.iterdir()]
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "trainer-test", str(home)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        (pytest.fail if REQUIRE_ALL else pytest.skip)(f"no mounts here: {done.stderr}")
    try:
        for name in folders:
            (home / name).mkdir()
        yield home
    finally:
        subprocess.run(["umount", "--lazy", str(home)], check=True)


def is_full(workload) -> bool:
    full = shutil.disk_usage(workload.directory).free == 0
    return full and (workload.directory / "filled").exists()


def make_room(workload) -> None:
    (workload.directory / "fill").unlink()


def test_is_held_and_let_go_on(small_disk, agent, submit, settings) -> None:
    settings.NODE_LOST_SECONDS = 4
    workload = start(submit({"code": WAITS}))
    engine = psutil.Process(process_facts(workload)["pgid"])

    def filled() -> bool:
        agent.beat()
        return is_full(workload)

    until(filled)
    until(lambda: engine.status() == psutil.STATUS_STOPPED)
    assert alive(agent, workload)
    assert "holding still" not in workload.log_path.read_text()  # there was no room for it
    make_room(workload)

    def went_on() -> bool:
        agent.beat()
        return "going on" in workload.log_path.read_text()

    until(went_on)
    assert engine.status() != psutil.STATUS_STOPPED


def test_the_time_limit_is_kept(small_disk, agent, submit) -> None:
    workload = start(submit({"code": WAITS}, wall_seconds=3))
    engine = process_facts(workload)["pgid"]
    until(lambda: is_full(workload))
    until(lambda: not is_there(engine))
    assert followed(agent, workload).outcome == "timeout"


def test_a_good_end_is_told_on_a_full_disk(small_disk, agent, submit) -> None:
    workload = start(submit({"code": ENDS_WELL.replace("LOST", "''")}))
    workload = followed(agent, workload)
    assert is_full(workload)
    assert (workload.outcome, workload.exit_code) == ("ok", 0)


def test_a_good_end_is_told_once_there_is_room(small_disk, agent, submit) -> None:
    """The room that the supervisor had taken is lost, too."""
    workload = start(submit({"code": ENDS_WELL.replace("LOST", "'exit-1.json.*'")}))
    engine = process_facts(workload)["pgid"]
    until(lambda: is_full(workload) and not is_there(engine))
    agent.rows_at = 0
    agent.follow()
    workload.refresh_from_db()
    assert workload.state in ("starting", "running")
    make_room(workload)
    workload = followed(agent, workload)
    assert (workload.outcome, workload.exit_code) == ("ok", 0)
