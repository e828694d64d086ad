"""A simulated OpenAI-compatible server that fails at random and counts what it charges."""

import json
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "sk-secret-of-the-test-0123456789"
NONSENSE_MOST = 2  # for one prompt: what is asked three times is answered
Answer = Callable[[str], str]


def pairs(prompt: str) -> str:
    """Three questions about the text that the prompt holds, which names itself `chunk N`."""
    name = re.search(r"chunk \d+", prompt)[0]
    rows = [{"question": f"q{n} of {name}?", "answer": f"a{n} of {name}."} for n in range(3)]
    return f"Here they are:\n```json\n{json.dumps(rows)}\n```"


class Simulated(ThreadingHTTPServer):
    """`troubles` is what goes wrong, drawn for each request: 429, 500, hang, cut, stall, nonsense,
    none. `objection` tells in which words a request is refused, which are no text for some APIs.
    `finish_reason` says why the answer to a prompt ends.

    An answer is charged once for each idempotency key, and given again for the same key.
    """

    daemon_threads = True

    def __init__(self, answer: Answer = pairs, troubles: list[str] | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer
        self.troubles = troubles or ["none"]
        self.usage = True
        self.pause = 0.0
        self.status = 0  # answered to all, if not 0
        self.said = ""
        self.objection: Callable[[dict[str, Any]], Any] = lambda _body: None
        self.finish_reason: Answer = lambda _prompt: "stop"
        self.guard = threading.Lock()
        self.drawn = random.Random(7)
        self.requests: list[dict[str, Any]] = []
        self.keys: Counter[str] = Counter()
        self.nonsense: Counter[str] = Counter()  # by prompt
        self.answers: dict[str, str] = {}  # by idempotency key: these were charged
        self.halves = 0  # answers of which a part was sent
        self.at_once = self.most_at_once = 0

    @property
    def url(self) -> str:
        """Up to /v1."""
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Simulated

    def log_message(self, *args: object) -> None:
        """Nothing is printed."""

    def do_POST(self) -> None:
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        key = self.headers["idempotency-key"]
        with server.guard:
            server.at_once += 1
            server.most_at_once = max(server.most_at_once, server.at_once)
            server.keys[key] += 1
            came = {"auth": self.headers["authorization"], "at": time.monotonic()}
            server.requests.append(body | came)
            trouble = server.drawn.choice(server.troubles)
        try:
            time.sleep(server.pause)
            self._reply(body, key, trouble)
        except OSError:
            pass  # the client is gone
        finally:
            with server.guard:
                server.at_once -= 1

    def _reply(self, body: dict[str, Any], key: str, trouble: str) -> None:
        server = self.server
        if self.path != "/v1/chat/completions":
            return self._refuse(404, "no such place")
        if server.status:
            return self._refuse(server.status, server.said)
        if self.headers["authorization"] != f"Bearer {KEY}":
            return self._refuse(401, f"wrong key {self.headers['authorization']}")
        if objection := server.objection(body):
            return self._refuse(400 if isinstance(objection, str) else 422, objection)
        if trouble in {"429", "500"}:
            return self._refuse(int(trouble), "later")
        if trouble == "hang":
            time.sleep(3)
            return self._refuse(504, "too late")
        prompt = "\n".join(message["content"] for message in body["messages"])
        with server.guard:
            if key not in server.answers:
                refuses = trouble == "nonsense" and server.nonsense[prompt] < NONSENSE_MOST
                server.nonsense[prompt] += refuses
                server.answers[key] = "I had rather not." if refuses else server.answer(prompt)
            text = server.answers[key]
        return self._stream(text, trouble, server.finish_reason(prompt))

    def _stream(self, text: str, trouble: str, finish_reason: str) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        middle = len(text) // 2
        if trouble in {"cut", "stall"}:
            with self.server.guard:
                self.server.halves += 1
        self._event({"choices": [{"delta": {"content": text[:middle]}}]})
        if trouble == "stall":
            time.sleep(3)
        if trouble in {"cut", "stall"}:
            return
        last = {"delta": {"content": text[middle:]}, "finish_reason": finish_reason}
        self._event({"choices": [last]})
        if self.server.usage:
            self._event({"choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 50}})
        self.wfile.write(b"data: [DONE]\n\n")

    def _event(self, data: dict[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps(data)}\n\n".encode())
        self.wfile.flush()

    def _refuse(self, status: int, said: Any) -> None:
        told = {"error": {"message": said}} if isinstance(said, str) else {"detail": said}
        data = json.dumps(told).encode()
        self.send_response(status)
        if status == 429:
            self.send_header("retry-after", "0")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def simulated(answer: Answer = pairs, troubles: list[str] | None = None) -> Iterator[Simulated]:
    """A server of this kind on a free port."""
    server = Simulated(answer, troubles)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
