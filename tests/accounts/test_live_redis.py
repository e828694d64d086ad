"""Live pages while Redis goes and comes back: a real server of the test's own."""

import asyncio
import subprocess
from collections.abc import Iterator

import pytest
from channels.layers import channel_layers
from channels_redis.pubsub import RedisPubSubChannelLayer

from tests.accounts.test_live import open_socket, record
from tests.ports import free_port

pytestmark = [
    pytest.mark.redis,
    pytest.mark.django_db(transaction=True),
    pytest.mark.asyncio,
]


class Server:
    """Redis on a port of its own."""

    def __init__(self) -> None:
        self.port = free_port()
        self.start()

    def start(self) -> None:
        words = ["--bind", "127.0.0.1", "--port", str(self.port), "--save", ""]
        self.process = subprocess.Popen(
            ["redis-server", *words], stdout=subprocess.PIPE, text=True, stderr=subprocess.STDOUT
        )
        assert self.process.stdout is not None
        assert any("Ready to accept" in line for line in self.process.stdout)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    layer = RedisPubSubChannelLayer(hosts=[f"redis://127.0.0.1:{made.port}/0"])
    before = channel_layers.set("default", layer)
    yield made
    channel_layers.set("default", before)
    made.kill()


async def test_pages_hear_again_when_redis_is_back(server, people) -> None:
    socket, _ = await open_socket(people.viewer, people.team.pk)
    await record(people)
    assert await socket.receive_json_from()
    server.kill()
    await record(people)  # nobody is told, and nothing fails
    await asyncio.sleep(0.5)
    server.start()
    for _second in range(20):
        await record(people)
        if not await socket.receive_nothing(1):
            break
    else:
        pytest.fail("nothing is heard any more")
    await socket.disconnect()
