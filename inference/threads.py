"""Database work from asynchronous code, in a few threads of its own.

Django gives each request a thread of its own, and with it a connection of its own. The gateway's
requests are too short for that: these threads keep theirs.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import ParamSpec, TypeVar

from asgiref.sync import sync_to_async
from django.db import connection

THREADS = 4
P = ParamSpec("P")
R = TypeVar("R")

_pool = ThreadPoolExecutor(THREADS, thread_name_prefix="gateway-db")


async def in_database(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Calls the function in a thread that may use the database."""

    def call() -> R:
        if connection.vendor != "sqlite":  # a file's connection neither ages nor breaks
            connection.close_if_unusable_or_obsolete()
        return function(*args, **kwargs)

    return await sync_to_async(call, thread_sensitive=False, executor=_pool)()


def close_connections() -> None:
    """Closes what the threads hold, for whoever is about to drop the database."""
    wait([_pool.submit(connection.close) for _number in range(THREADS * 4)])
