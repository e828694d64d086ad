"""Every socket of the site, against every person. The routes come from the routing itself."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from asgiref.sync import sync_to_async
from channels.auth import AuthMiddlewareStack
from channels.routing import URLRouter
from django.conf import settings
from django.test import Client

from config.routing import websocket_urlpatterns
from tests.access.objects import everything
from tests.access.table import PEOPLE, RANK
from tests.sockets import Socket

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.asyncio]
VIEWERS = {who for who in PEOPLE if RANK[who] >= 10}
# Route -> the address with the words of the things, and who may listen there.
SOCKETS = {
    "ws/live/": ("ws/live/?topics={job}", set(PEOPLE) - {"anonymous"}),
    "ws/chat/<uuid:conversation_id>/": ("ws/chat/{conversation}/", {"owner"}),
    "ws/workloads/<uuid:workload_id>/log/": ("ws/workloads/{workload}/log/", VIEWERS),
}
application = AuthMiddlewareStack(URLRouter(websocket_urlpatterns))


async def test_every_route_has_a_row() -> None:
    routes = {str(one.pattern) for one in websocket_urlpatterns}
    assert routes == set(SOCKETS), "Say in SOCKETS who may listen at each route."


def cookie(people: SimpleNamespace, who: str) -> list[tuple[bytes, bytes]]:
    if who == "anonymous":
        return []
    client = Client()
    client.force_login(getattr(people, who))
    name = settings.SESSION_COOKIE_NAME
    return [(b"cookie", f"{name}={client.cookies[name].value}".encode())]


async def listens(address: str, headers: list[tuple[bytes, bytes]]) -> bool:
    """Whether the socket opens and is not closed at once."""
    socket = Socket(application, address, headers)
    opened, _code = await socket.connect()
    if opened:
        while not await socket.receive_nothing(0.3):
            if (await socket.receive_output())["type"] == "websocket.close":
                return False
            # A log says at once what it has; only a refusal closes without a word.
            break
        await socket.disconnect()
    return opened


async def test_who_may_listen(people: SimpleNamespace, home: Path) -> None:
    things = await sync_to_async(everything)(people, home)
    ids = {word: thing.pk for word, thing in things.items()}
    wrong = []
    for route, (address, allowed) in SOCKETS.items():
        for who in PEOPLE:
            headers = await sync_to_async(cookie)(people, who)
            if await listens("/" + address.format(**ids), headers) != (who in allowed):
                wrong.append(f"{route}: {who}")
    assert not wrong
