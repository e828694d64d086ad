"""Files that only grow, written by byte offset: the control plane's side.

The sender names file, offset and bytes; the answer is the next offset wanted. What is known already
is skipped, what would leave a hole is not taken, so that repeats, restarts on either side, late and
reordered messages neither lose nor double a byte.
"""

import fcntl
import os
from pathlib import Path


def grow(path: Path, offset: int, data: bytes, *, seal: bool = False) -> int:
    """Writes `data` at `offset` where the file ends there or later; the next offset wanted.

    `seal` makes sure that everything is on the disk before it answers.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        size = os.fstat(descriptor).st_size
        if offset <= size < offset + len(data):
            _write(descriptor, data[size - offset :], size)
            size = offset + len(data)
        if seal:
            os.fsync(descriptor)
        return size
    finally:
        os.close(descriptor)


def _write(descriptor: int, data: bytes, offset: int) -> None:
    rest = memoryview(data)
    try:
        while rest:
            written = os.pwrite(descriptor, rest, offset)
            rest, offset = rest[written:], offset + written
    except OSError:
        # A part of it may stand there: it is a true beginning, so the next try goes on behind it.
        os.ftruncate(descriptor, offset)
        raise
