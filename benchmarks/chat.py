"""What the gateway adds to chat: through it and at the engine's own port, in turn.

One engine process with the demo model serves both ways. Prints, for each way, the milliseconds to
the first word and the tokens per second of streamed answers, then the difference and the ratio.
"""

import argparse
import http.client
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from running import Failed, Platform, platform, run, verdict

from tests.ports import free_port

DEPLOY = """
from django.db import transaction
from accounts.models import User
from inference.services import deployment_create
from nodes.models import Workload
from nodes.services import serve_key
from registry.models import ModelVersion
user = User.objects.get(username="bench")
with transaction.atomic():
    made = deployment_create(
        project=user.personal_project, created_by=user,
        version=ModelVersion.objects.get(source="demo"), idle_seconds=3600,
    )
    workload = made.replica.workload_id
    Workload.objects.filter(pk=workload).update(env={{"TRAINER_SERVE_PORT": "{port}"}})
print(made.pk, serve_key(workload))
"""
REST_SECONDS = 2.0


@dataclass
class Answer:
    """One streamed answer: seconds to its first word and to its end, and its tokens."""

    first: float
    whole: float
    tokens: int

    @property
    def rate(self) -> float:
        """Tokens a second after the first word, whose delay is a figure of its own."""
        return (self.tokens - 1) / (self.whole - self.first)


class Door:
    """A kept connection to one of the two ways."""

    def __init__(self, port: int, key: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self.key = key
        self.used = time.monotonic()

    def ask(self, *, tokens: int, seed: int) -> Answer:
        """Streams an answer of at most so many tokens."""
        if time.monotonic() - self.used > REST_SECONDS:
            self.connection.close()  # the server is about to
            self.connection.connect()
        body = {
            "model": "demo",
            "messages": [{"role": "user", "content": "怎么重置密码？"}],
            "max_tokens": tokens,
            "seed": seed,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        began = time.perf_counter()
        self.connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        response = self.connection.getresponse()
        first, made = 0.0, 0
        while line := response.readline():
            if not line.startswith(b"data: {"):
                continue
            chunk = json.loads(line[6:])
            if "error" in chunk:
                raise Failed(f"an answer broke off: {chunk}")
            if not first and chunk["choices"] and chunk["choices"][0]["delta"].get("content"):
                first = time.perf_counter() - began
            made = (chunk.get("usage") or {}).get("completion_tokens", made)
        if response.status != 200 or not made:
            raise Failed(f"no answer at port {self.connection.port}: status {response.status}")
        self.used = time.monotonic()
        return Answer(first, time.perf_counter() - began, made)


def deployed(running: Platform, key: str) -> tuple[Door, Door]:
    """The demo model in service: the gateway's door and the engine's own."""
    port = free_port()
    made = running.manage("shell", "-c", DEPLOY.format(port=port)).split()
    running.until(f"/api/v1/deployments/{made[-2]}/", key, {"ready"}, 120)
    return Door(running.port, key), Door(port, made[-1])


def in_turn(gateway: Door, engine: Door, rounds: int, tokens: int) -> list[tuple[Answer, Answer]]:
    """Pairs of answers with the same seed; who comes first changes, so that neither is favoured."""
    pairs = []
    for seed in range(rounds):
        if seed % 2:
            own = engine.ask(tokens=tokens, seed=seed)
            ours = gateway.ask(tokens=tokens, seed=seed)
        else:
            ours = gateway.ask(tokens=tokens, seed=seed)
            own = engine.ask(tokens=tokens, seed=seed)
        pairs.append((ours, own))
    return pairs


def middle(pairs: list[tuple[Answer, Answer]], of: Callable[[Answer], float]) -> list[float]:
    """The medians of both ways."""
    return [statistics.median(of(pair[way]) for pair in pairs) for way in (0, 1)]


def main(options: argparse.Namespace) -> None:
    """Runs both measurements and prints them."""
    with platform() as running:
        gateway, engine = deployed(running, running.register("bench"))
        in_turn(gateway, engine, 5, 20)  # warms up both
        short = in_turn(gateway, engine, options.firsts, 2)
        ours, own = middle(short, lambda answer: answer.first * 1000)
        added = statistics.median((a.first - b.first) * 1000 for a, b in short)
        print(f"first word: gateway {ours:.1f} ms, engine {own:.1f} ms, ratio {ours / own:.3f}")
        verdict("added to the first word", added, "ms", goal="under 10 ms", met=added < 10)
        long = in_turn(gateway, engine, options.rounds, options.tokens)
        length = statistics.median(b.tokens for _a, b in long)
        whole = statistics.median(a.tokens / a.whole * b.whole / b.tokens for a, b in long)
        print(f"whole answers of {length:.0f} tokens, with the first word: ratio {whole:.3f}")
        ours, own = middle(long, lambda answer: answer.rate)
        ratio = statistics.median(a.rate / b.rate for a, b in long)
        print(f"throughput: gateway {ours:.1f} tokens/s, engine {own:.1f} tokens/s")
        verdict("throughput ratio", ratio, "", goal="at least 0.97", met=ratio >= 0.97)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="long answers each way")
    parser.add_argument("--firsts", type=int, default=100, help="short answers each way")
    parser.add_argument("--tokens", type=int, default=500, help="of a long answer")
    chosen = parser.parse_args()
    run(lambda: main(chosen), "streamed answers through the gateway and at the engine's own port")
