"""One process at a time in a directory; the lock goes with the process, however it ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = ".lock"


@contextmanager
def locked(directory: Path, *, wait: bool = False) -> Iterator[bool]:
    """Whether this process holds the directory now. With `wait` it waits until it does."""
    handle = lock_taken(directory, wait=wait)
    try:
        yield handle is not None
    finally:
        if handle is not None:
            os.close(handle)


def lock_taken(directory: Path, *, wait: bool = False) -> int | None:
    """A file handle that holds the directory; None when another does, or it is gone.

    A process that is given the handle holds the directory, too: it is free when all have closed it.
    """
    try:
        handle = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BaseException as refused:
        os.close(handle)
        if isinstance(refused, BlockingIOError):
            return None
        raise
    return handle
