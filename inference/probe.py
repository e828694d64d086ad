"""Whether a replica answers: a connection first, then a real request for one token."""

import http.client
import json
import socket

CONNECT_SECONDS = 1
ANSWER_SECONDS = 20


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("replica", timeout=ANSWER_SECONDS)
        self._path = path

    def connect(self) -> None:
        """Opens the socket; a missing or deaf one fails at once."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(CONNECT_SECONDS)
        self.sock.connect(self._path)
        self.sock.settimeout(ANSWER_SECONDS)


def probe(socket_path: str, key: str, model: str) -> bool:
    """Whether the replica gave a real answer. Blocks for at most about 20 s, usually for none."""
    body = {
        "model": model,
        "messages": [{"role": "user", "content": "."}],
        "max_tokens": 1,
        "temperature": 0,
    }
    connection = _UnixConnection(socket_path)
    try:
        connection.request(
            "POST",
            "/v1/chat/completions",
            json.dumps(body),
            {"Content-Type": "application/json", "Authorization": f"Bearer {key}"},
        )
        answer = connection.getresponse()
        return answer.status == http.HTTPStatus.OK and bool(json.load(answer).get("choices"))
    except (OSError, ValueError, http.client.HTTPException):
        return False
    finally:
        connection.close()
