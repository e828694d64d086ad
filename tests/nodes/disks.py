"""Small disks that are really full. They need the right to mount, as root has it."""

import errno
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(place: Path) -> Iterator[None]:
    """The directory lies on a disk of its own, of a megabyte."""
    options = ["-t", "tmpfs", "-o", "size=1m", "tmpfs"]
    if subprocess.run(["mount", *options, str(place)], capture_output=True).returncode:
        pytest.skip("mounts nothing without the right to")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def enlarge(place: Path) -> None:
    """Now it has room."""
    subprocess.run(["mount", "-o", "remount,size=64m", str(place)], check=True)


def fill(place: Path) -> Path:
    """Not a byte more goes onto its disk while this file is there."""
    path = place / "big"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError as error:
            assert error.errno == errno.ENOSPC
    return path
