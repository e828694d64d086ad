"""Who comes first where processors are short: people, then the node's own work."""

import os
from contextlib import suppress
from pathlib import Path

NICENESS = 10  # -20 to 19; at 10, a tenth of the share of what stands at 0


def give_way() -> None:
    """Has pages and database come before this session's processes.

    Linux shares the processors out between sessions (autogroups) first. Only the group's own number
    is set: what this process starts in a session of its own, as every workload, is not slowed down,
    which a nice value would be inherited for. Elsewhere it changes nothing.
    """
    if os.getsid(0) == os.getpid():
        with suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(NICENESS))
