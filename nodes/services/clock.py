"""Whose clock counts: the database's. A node's own may be wrong."""

from datetime import datetime

from django.db import connection
from django.utils import timezone


def database_now() -> datetime:
    """The moment by the database's clock, the same for all nodes."""
    if connection.vendor == "sqlite":  # a file of this machine has this machine's clock
        return timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment
