"""What the parser may use at most; the system enforces it."""

import contextlib
import ctypes
import resource
import signal

_PR_SET_PDEATHSIG = 1
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000


def confine(*, memory: int, seconds: int, size: int) -> None:
    """Bounds address space and size of a file in bytes, and processor time in seconds.

    No core dumps, no network where the system lets us give it up, and no life after the parent's.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)  # containers may forbid it: then we go on
    for kind, limit, most in (
        (resource.RLIMIT_AS, memory, memory),
        # At the most the system kills without a word; a second before it says that time is over.
        (resource.RLIMIT_CPU, seconds, seconds + 1),
        (resource.RLIMIT_FSIZE, size, size),
        (resource.RLIMIT_CORE, 0, 0),
        (resource.RLIMIT_NOFILE, 64, 64),
    ):
        with contextlib.suppress(ValueError):  # the platform's own limit is lower already
            resource.setrlimit(kind, (limit, most))
