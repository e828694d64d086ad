"""How the platform reaches its database."""

from typing import Any
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from config import env


def _pool(process: str) -> dict[str, Any]:
    """A pool of connections, for the web process alone.

    Its threads come and go, and each would keep a connection. In a worker, which forks, a pool
    would be dead after the first fork.
    """
    size = env.integer("TRAINER_DATABASE_POOL", 16)
    if process != "web" or not size:
        return {}
    return {"pool": {"min_size": min(2, size), "max_size": size, "timeout": 10}}


def database(url: str, *, process: str) -> dict[str, Any]:
    """Django's settings for sqlite:///PATH or postgres://USER:PASSWORD@HOST:PORT/NAME.

    `process` is the part of the platform that asks. ImproperlyConfigured for other schemes.
    """
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": unquote(parts.path),
            "OPTIONS": {
                "timeout": 20,
                "transaction_mode": "IMMEDIATE",
                "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;",
            },
        }
    if parts.scheme in {"postgres", "postgresql"}:
        pool = _pool(process)
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": unquote(parts.path.lstrip("/")),
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "HOST": parts.hostname or "",
            "PORT": str(parts.port or ""),
            "CONN_MAX_AGE": 0 if pool else 60,
            "CONN_HEALTH_CHECKS": True,
            "OPTIONS": {
                **pool,
                "connect_timeout": 5,
                "keepalives": 1,
                "keepalives_idle": 10,
                "keepalives_interval": 5,
                "keepalives_count": 3,
                "tcp_user_timeout": 15000,
                "options": "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5"
                " -c tcp_keepalives_count=3 -c idle_in_transaction_session_timeout=20000"
                " -c lock_timeout=10000",
            },
        }
    raise ImproperlyConfigured(f"TRAINER_DATABASE_URL: unknown scheme {parts.scheme!r}")
