"""A full disk, told to people as what it is."""

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from common.errors import DomainError
from common.phrases import gettext as _


class DiskFull(DomainError):
    """There is no room left: on the disk, or of what the platform may take of it."""

    code = "disk_full"

    def __init__(self, message: str = "") -> None:
        super().__init__(
            message or _("The disk is full. Ask an operator for room, then try again.")
        )


@contextmanager
def disk_full_told() -> Iterator[None]:
    """`DiskFull` in the place of what the system or SQLite says within."""
    try:
        yield
    except (OSError, sqlite3.OperationalError) as error:
        if not _is_full(error):
            raise
        raise DiskFull from error


def _is_full(error: OSError | sqlite3.OperationalError) -> bool:
    if isinstance(error, OSError):
        return error.errno in {errno.ENOSPC, errno.EDQUOT}
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
