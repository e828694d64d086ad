"""The queue of short tasks, in the database.

It is django-q2's own. On PostgreSQL a worker is woken by the message instead of asking for it all
the time: a task begins some milliseconds after the commit that asked for it, and a worker that has
nothing to do uses next to nothing.
"""

import logging
import time
from datetime import UTC, datetime
from typing import Any

import psycopg
from django.db import Error, connections
from django_q.brokers.orm import ORM
from django_q.conf import Conf
from psycopg import sql

logger = logging.getLogger(__name__)
WAIT_SECONDS = 1.0  # then it looks all the same: a wake-up may be lost, and a message may be due
POLL_SECONDS = 0.2  # between two looks where nothing wakes it
DUE = datetime(2000, 1, 1, tzinfo=UTC)  # what is locked until then is free
RETRY_SECONDS = 1.0  # between two tries while the database does not answer


class Broker(ORM):
    """Needs `poll` to be 0 in the settings: the waiting is done here."""

    _listening: Any = None  # the connection that hears of messages

    def enqueue(self, task: str) -> Any:
        """Adds a message; whoever waits hears of it when the transaction is committed.

        It is due at once, however wrong the clock is of the machine that sends it.
        """
        key = self.list_key or Conf.CLUSTER_NAME
        number = self.get_connection().create(key=key, payload=task, lock=DUE).pk
        database = connections[Conf.ORM]
        if database.vendor == "postgresql":
            with database.cursor() as cursor:
                cursor.execute("SELECT pg_notify(%s, '')", (self.list_key,))
        return number

    def dequeue(self) -> Any:
        """The next message, or None after a while without one."""
        try:
            if connections[Conf.ORM].vendor == "postgresql":
                self._listen()  # before it looks, so that nothing comes in between
            tasks = super().dequeue()
            if not tasks:
                self._wait()
            return tasks or None
        except (Error, psycopg.Error) as error:
            logger.warning("%s: the database does not answer: %s", self.list_key, error)
            connections[Conf.ORM].close()
            time.sleep(RETRY_SECONDS)
            return None

    def _listen(self) -> None:
        self.get_connection()  # closes one that is too old or broken
        database = connections[Conf.ORM]
        database.ensure_connection()
        if self._listening is not database.connection:
            with database.cursor() as cursor:
                cursor.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self.list_key)))
            self._listening = database.connection

    def _wait(self) -> None:
        if self._listening is None:
            time.sleep(POLL_SECONDS)
        elif self._listening is connections[Conf.ORM].connection:  # else a new one: it looks again
            for _message in self._listening.notifies(timeout=WAIT_SECONDS, stop_after=1):
                pass
