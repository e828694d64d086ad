"""The ASGI application: pages and API by Django, sockets by Channels."""

import ctypes
import os
from contextlib import suppress

from channels.routing import ProtocolTypeRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core.asgi import get_asgi_application

M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8  # of glibc's malloc.h
BIG_BYTES = 128 * 1024


def bound_memory() -> None:
    """Has this process give memory back.

    glibc gives every thread a heap of its own, and keeps in these what big buffers took: many
    requests at once would leave the process as big as all of them together, for ever. Buffers above
    a fixed size are instead taken from the system and given back to it one by one. Another C
    library does as it likes.
    """
    with suppress(AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_ARENA_MAX, 2)
        libc.mallopt(M_MMAP_THRESHOLD, BIG_BYTES)


os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
pages = get_asgi_application()
bound_memory()

from config.bodies import bounded  # noqa: E402  models must be loaded first
from config.routing import sockets  # noqa: E402
from inference.asgi import with_gateway  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": with_gateway(bounded(pages)),
        "websocket": AllowedHostsOriginValidator(sockets),
    }
)
