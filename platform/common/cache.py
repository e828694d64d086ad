"""The cache on Redis, which may be away: what it held counts as forgotten then."""

import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

from django.core.cache.backends.redis import RedisCache
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)
T = TypeVar("T")
SAY_SECONDS = 60.0


class ForgetfulRedisCache(RedisCache):
    """Nothing here is worth failing a request for: without Redis it finds and keeps nothing."""

    _said_at = -SAY_SECONDS

    def _try(self, work: Callable[[], T], otherwise: T) -> T:
        try:
            return work()
        except RedisError as error:
            if time.monotonic() - self._said_at > SAY_SECONDS:
                ForgetfulRedisCache._said_at = time.monotonic()
                logger.warning("Redis does not answer; the cache is empty until it does: %s", error)
            return otherwise

    def add(self, key: Any, value: Any, *args: Any, **kwargs: Any) -> bool:
        """As if it had been kept."""
        return self._try(
            lambda: bool(super(ForgetfulRedisCache, self).add(key, value, *args, **kwargs)), True
        )

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        """The default."""
        return self._try(
            lambda: super(ForgetfulRedisCache, self).get(key, default, version), default
        )

    def set(self, key: Any, value: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing."""
        self._try(lambda: super(ForgetfulRedisCache, self).set(key, value, *args, **kwargs), None)

    def touch(self, key: Any, *args: Any, **kwargs: Any) -> bool:
        """It is not there."""
        return self._try(
            lambda: bool(super(ForgetfulRedisCache, self).touch(key, *args, **kwargs)), False
        )

    def delete(self, key: Any, version: int | None = None) -> bool:
        """It was not there."""
        return self._try(lambda: bool(super(ForgetfulRedisCache, self).delete(key, version)), False)

    def get_many(self, keys: Any, version: int | None = None) -> dict[Any, Any]:
        """None of them."""
        return self._try(lambda: super(ForgetfulRedisCache, self).get_many(keys, version), {})

    def set_many(self, data: Any, *args: Any, **kwargs: Any) -> list[Any]:
        """None failed."""
        return self._try(
            lambda: list(super(ForgetfulRedisCache, self).set_many(data, *args, **kwargs)), []
        )

    def delete_many(self, keys: Any, version: int | None = None) -> None:
        """Nothing."""
        self._try(lambda: super(ForgetfulRedisCache, self).delete_many(keys, version), None)

    def has_key(self, key: Any, version: int | None = None) -> bool:
        """No."""
        return self._try(
            lambda: bool(super(ForgetfulRedisCache, self).has_key(key, version)), False
        )

    def incr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """ValueError, as for every key that is not there."""
        found = self._try(lambda: super(ForgetfulRedisCache, self).incr(key, delta, version), None)
        if found is None:
            raise ValueError(f"Key {key!r} not found.")
        return int(found)

    def clear(self) -> None:
        """It is empty already."""
        self._try(lambda: super(ForgetfulRedisCache, self).clear(), None)
