"""What a process of the platform may take at most."""

import resource


def limited(*, memory: int, seconds: int) -> None:
    """Bounds this process' address space in bytes and its processor time. No core dumps."""
    for kind, limit in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_CORE, 0),
    ):
        _soft, hard = resource.getrlimit(kind)
        mine = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (mine, hard))
