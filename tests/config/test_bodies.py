"""What a request may bring, on the server as it is really started."""

import http.client
import json
import os
import select
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from config import bodies
from tests.access.addresses import addresses
from tests.nodes.disks import small_disk
from tests.nodes.far import Control, database_url
from tests.ports import free_port

MB = 2**20
LOGIN = "/api/v1/login/"
FILE = ("POST", "/api/v1/datasets/")
PIECE = ("PATCH", f"/api/v1/uploads/{uuid.UUID(int=1)}/")
KEY = {"Authorization": "Bearer nobody's"}


@pytest.fixture
def served(home: Path, settings, transactional_db: None) -> Iterator[Control]:
    """The web process, which takes files of 8 MB at most."""
    ours = {name for name in os.environ if name.startswith("TRAINER_")} - {"TRAINER_REDIS_URL"}
    env = {name: value for name, value in os.environ.items() if name not in ours}
    env |= {
        "TRAINER_HOME": str(home),
        "TRAINER_DATABASE_URL": database_url(),
        "TRAINER_SECRET_KEY": settings.SECRET_KEY,
        "TRAINER_UPLOAD_MAX_BYTES": str(8 * MB),
        "TMPDIR": str(home / "temp"),  # as `serve` has it
    }
    control = Control(home, env, port=free_port())
    try:
        control.web()
        yield control
    finally:
        control.end()


def begun(server: Control, method: str, path: str, field: str) -> socket.socket:
    """A connection on which a request was begun."""
    line = socket.create_connection(("127.0.0.1", server.port), timeout=180)
    line.sendall(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{field}\r\n\r\n".encode())
    return line


def sent_until_cut_off(line: socket.socket) -> bytes:
    """The answer to a client that never ends sending; it must be cut off."""
    answer, piece = b"", b"100000\r\n" + b" " * MB + b"\r\n"
    try:
        for _number in range(2000):
            if select.select([line], [], [], 0.01)[0]:
                came = line.recv(MB)
                answer += came
                if not came:
                    return answer
            line.sendall(piece)
    except OSError:
        return answer
    raise AssertionError("it could send as much as it liked")


def fields_of(answer: bytes) -> list[bytes]:
    head, _end, body = answer.partition(b"\r\n\r\n")
    assert json.loads(body)["code"] == "too_large"
    return head.lower().split(b"\r\n")


@pytest.mark.parametrize("path", [LOGIN, "/account/login/", "/nowhere/"])
def test_a_body_that_says_it_is_too_large_is_not_waited_for(served: Control, path: str) -> None:
    with begun(served, "POST", path, f"Content-Length: {500 * 2**30}") as line:
        answer = b""
        while came := line.recv(MB):
            answer += came
    status, *fields = answer.lower().split(b"\r\n\r\n")[0].split(b"\r\n")
    assert status.startswith(b"http/1.1 413")
    assert b"connection: close" in fields
    assert b"16 MB" in answer


@pytest.mark.parametrize(("method", "path"), [("POST", LOGIN), FILE, PIECE])
def test_a_body_without_an_end_is_cut_off(served: Control, method: str, path: str) -> None:
    with begun(served, method, path, "Transfer-Encoding: chunked") as line:
        status, *fields = fields_of(sent_until_cut_off(line))
    assert status.startswith(b"http/1.1 413")
    assert b"connection: close" in fields


@pytest.mark.parametrize(
    ("request_line", "headers", "taken", "refused", "said"),
    [
        (FILE, KEY, 20, 25, "24 MB"),
        (FILE, {"Cookie": "a=b; sessionid=c"}, 20, 25, "24 MB"),
        (FILE, {}, 15, 20, "Without a log-in or an API key a request may have 16 MB."),
        (PIECE, KEY, 60, 65, "Set your client's chunk size to 64 MB or less."),
        (PIECE, {"Cookie": "a=b"}, 15, 20, "Without a log-in"),
    ],
)
def test_how_large_files_may_be(
    served: Control,
    request_line: tuple[str, str],
    headers: dict[str, str],
    taken: int,
    refused: int,
    said: str,
) -> None:
    """Larger than other bodies, when somebody says who sends them; a piece is no whole file."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=180)
    connection.request(*request_line, bytes(taken * MB), headers)
    answer = connection.getresponse()
    assert (answer.status in {401, 403}, bool(answer.read())) == (True, True)
    assert answer.getheader("connection") != "close"
    connection.request(*request_line, bytes(refused * MB), headers)
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("connection")) == (413, "close")
    assert said in json.loads(answer.read())["detail"]
    connection.close()


@pytest.mark.parametrize(("method", "path"), [FILE, PIECE])
def test_a_body_without_room_is_refused(served: Control, home: Path, method, path) -> None:
    with small_disk(home / "temp"):
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=180)
        connection.request(method, path, bytes(5 * MB))
        answer = connection.getresponse()
        assert (answer.status, json.loads(answer.read())["code"]) == (507, "disk_full")
        connection.close()


def test_a_connection_is_used_again_after_a_body(served: Control) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=180)
    connection.connect()
    first = connection.sock
    for size in (1, MB, 7 * MB):
        connection.request("POST", LOGIN, b"x" * size, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert (answer.status, "JSON" in json.loads(answer.read())["detail"]) == (400, True)
        assert connection.sock is first
    connection.close()


def test_the_addresses_that_take_files_exist() -> None:
    names = {one.name for one in addresses()}
    assert names >= bodies.FILES
