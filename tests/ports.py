"""Ports for servers that tests start."""

import random
import socket

# Below those that the kernel gives to connections, which would take one while nobody listens on it.
FIRST, LAST = 10_000, 32_000
_held: list[socket.socket] = []


def free_port() -> int:
    """A port nobody listens on, given to no other test while this process lives."""
    while True:
        port = random.randrange(FIRST, LAST)
        mark, probe = socket.socket(socket.AF_UNIX), socket.socket()
        try:
            mark.bind(f"\0trainer-test-port-{port}")
            probe.bind(("127.0.0.1", port))
        except OSError:
            mark.close()
        else:
            _held.append(mark)
            return port
        finally:
            probe.close()
