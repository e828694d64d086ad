"""The cache while Redis is away, on a real Redis of its own that is killed."""

import shutil
import subprocess
import time

import pytest
from django.core.cache import cache
from django.urls import reverse

from tests.ports import free_port

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(not shutil.which("redis-server"), reason="no redis-server"),
]


@pytest.fixture
def redis(settings, tmp_path):
    """Starts it; `kill` and `start` may be called again."""
    port, processes = free_port(), []

    class Server:
        def start(self) -> None:
            words = [
                "--port",
                str(port),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--dir",
                str(tmp_path),
            ]
            processes.append(subprocess.Popen(["redis-server", *words], stdout=subprocess.DEVNULL))
            deadline = time.monotonic() + 180
            while not self.answers():
                assert time.monotonic() < deadline
                time.sleep(0.05)

        def kill(self) -> None:
            processes[-1].kill()
            processes[-1].wait(180)

        def answers(self) -> bool:
            return cache.set("probe", 1) is None and cache.get("probe") == 1

    settings.CACHES = {
        "default": {
            "BACKEND": "common.cache.ForgetfulRedisCache",
            "LOCATION": f"redis://127.0.0.1:{port}/0",
            "OPTIONS": {"socket_connect_timeout": 1, "socket_timeout": 2},
        }
    }
    server = Server()
    server.start()
    yield server
    for process in processes:
        process.kill()
        process.wait(180)


def test_it_forgets_and_comes_back(redis) -> None:
    cache.set("key", "value")
    assert cache.get("key") == "value"
    redis.kill()
    assert cache.get("key", "other") == "other"
    assert cache.get_many(["key"]) == {}
    assert cache.add("key", 1) is True
    assert cache.set_many({"a": 1}) == []
    assert cache.delete("key") is False
    assert cache.touch("key") is False
    assert "key" not in cache
    assert cache.get_or_set("key", "made") in {"made", None}
    with pytest.raises(ValueError, match="not found"):
        cache.incr("key")
    cache.delete_many(["key"])
    redis.start()
    cache.set("key", "again")
    assert cache.get("key") == "again"


def test_a_login_is_answered_without_it(redis, client, people) -> None:
    redis.kill()
    answer = client.post(
        reverse("api-login"), {"username": "owner", "password": "wrong"}, "application/json"
    )
    assert answer.status_code in {400, 401, 422}
    assert client.get("/account/login/").status_code == 200
    client.force_login(people.owner)
    assert client.get("/").status_code == 200
