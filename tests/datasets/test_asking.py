"""Asking a server that takes other parameters, and what answers cost that were cut off."""

import asyncio
from contextlib import asynccontextmanager
from decimal import Decimal

import orjson
import pytest

from common.errors import DomainError
from datasets.generation.asking import REFUSALS, UNLIMITED, Asking, Limits, Sampling
from datasets.generation.doors import Busy, HttpDoor, Refused, Server, Terms
from datasets.generation.events import Answer, tokens_guess
from datasets.generation.journal import Journal
from tests.datasets.model_server import KEY, Simulated, simulated

TEXTS = [f"question {number:02}" for number in range(12)]
WORDS = "an answer of many words, and some more of them"
HALF = tokens_guess(TEXTS[0]) + tokens_guess(WORDS[: len(WORDS) // 2])  # tokens of one cut off
PARALLEL = 3


class Asked:
    """The texts put to a server: what came, what was told, what was spent."""

    def __init__(
        self, server: Simulated, folder, texts=TEXTS, limits=UNLIMITED, timeout=5, look=None
    ) -> None:
        self.told: list[str] = []
        self.refused: list[str] = []
        self.answers: list[str] = []
        terms = Terms(PARALLEL, 60_000, Decimal(10), Decimal(20))
        door = HttpDoor(
            Server(server.url, "m", "sim", terms, key=KEY, timeout=timeout, allows_private=True)
        )
        asking = Asking(
            {"m": door},
            Journal(folder / "journal"),
            salt="s",
            limits=limits,
            look=look or (lambda: None),
            tell=self.told.append,
        )
        self.spent = asking.spent

        async def one(text: str) -> str:
            messages = [{"role": "user", "content": text}]
            return await asking.ask("m", messages, Sampling(0.7, 100), place=[])

        def failed(text: str, _reason: str) -> None:
            self.refused.append(text)

        with asking:
            for _text, answer in asking.each(iter(texts), one, source="m", failed=failed):
                self.answers.append(answer)


class SlowDoor:
    """Answers one question, in a task of its own; the others are refused once it has begun."""

    label, terms = "slow", Terms(REFUSALS + 1, 60_000)

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.slow = 0

    @asynccontextmanager
    async def ask(self, question, _key):
        if question["messages"][0]["content"] != "slow":
            await self.begun.wait()
            raise Refused("no")
        self.slow += 1
        self.begun.set()
        await asyncio.create_task(asyncio.sleep(0.5))

        async def chunks():
            yield b'{"choices": [{"message": {"content": "late"}, "finish_reason": "stop"}]}'

        yield chunks()

    async def close(self) -> None:
        """Nothing is open."""


def test_what_is_under_way_when_refusals_end_the_work_is_kept_and_nothing_asked_after(
    tmp_path,
) -> None:
    door = SlowDoor()
    asking = Asking({"m": door}, Journal(tmp_path / "journal"), salt="s")

    async def one(text: str) -> None:
        for place in range(2):
            messages = [{"role": "user", "content": text}]
            await asking.ask("m", messages, Sampling(0.7, 100), place=[place])

    texts = [f"refused {number}" for number in range(REFUSALS)]
    with pytest.raises(DomainError) as ended, asking:
        rows = asking.each(
            iter([*texts, "slow"]), one, source="m", failed=lambda _text, _reason: None
        )
        list(rows)
    assert ended.value.code == "all_refused"
    assert Journal(tmp_path / "journal").spent().answers == 1
    assert door.slow == 1


def extra(name: str) -> list:
    place = {"type": "extra_forbidden", "loc": ["body", name]}
    return [place | {"msg": "Extra inputs are not permitted", "input": {"include_usage": True}}]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "max_tokens",
            "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens'.",
        ),
        ("max_tokens", "#: extraneous key [max_tokens] is not permitted, please reformat"),
        (
            "temperature",
            "Unsupported value: 'temperature' does not support 0.7. Only the default (1) value is.",
        ),
        ("temperature", "invalid temperature: only 1 is allowed for this model"),
        ("temperature", "`temperature` is deprecated for this model."),
        ("temperature", "This model doesn't support temperature=0.7. Only 1 is."),
        ("temperature", "参数temperature不支持"),
        ("stream_options", "Unknown parameter: 'stream_options'."),
        ("stream_options", "Unrecognized request argument supplied: stream_options"),
        ("stream_options", "Extra parameters ['stream_options'] are not allowed when"),
        ("stream_options", 'Unknown name "stream_options": Cannot find field.'),
        ("stream_options", extra("stream_options")),
    ],
)
def test_a_parameter_that_is_not_taken_is_left_out_from_then_on(name, words, tmp_path) -> None:
    with simulated(lambda _prompt: WORDS) as server:
        server.objection = lambda body: words if name in body else None
        asked = Asked(server, tmp_path)
    assert asked.answers == [WORDS] * len(TEXTS)
    assert asked.spent.answers == len(TEXTS)
    assert len(asked.told) == 1
    assert f"does not take {name}" in asked.told[0]
    wrong = [request for request in server.requests if name in request]
    right = [request for request in server.requests if name not in request]
    assert 1 <= len(wrong) <= PARALLEL  # those that were under way at once
    assert len(right) == len(TEXTS)
    for request in right:
        others = {"max_tokens": 100, "temperature": 0.7, "stream_options": {"include_usage": True}}
        del others[name]
        assert {key: request[key] for key in others} == others
        assert request.get("max_completion_tokens") == (100 if name == "max_tokens" else None)


@pytest.mark.parametrize("together", [True, False])
def test_several_at_once_and_one_after_the_other(together, tmp_path) -> None:
    def objection(body: dict) -> str:
        names = [name for name in ("max_tokens", "temperature", "stream_options") if name in body]
        names = names if together else names[:1]
        return f"Unsupported parameter(s): {', '.join(f'`{name}`' for name in names)}" * any(names)

    with simulated(lambda _prompt: WORDS) as server:
        server.objection = objection
        asked = Asked(server, tmp_path)
    assert asked.answers == [WORDS] * len(TEXTS)
    assert len(asked.told) == 3
    assert len(server.requests) - len(TEXTS) <= PARALLEL * (1 if together else 3)


@pytest.mark.parametrize(
    "words",
    [
        "Unsupported parameter: 'seed'",
        "max_tokens is too large: 100. This model supports at most 64 completion tokens.",
        "'temperature' must be between 0 and 0.5",
        "max_tokens 100 is not allowed: at most 64",
        "temperature: unexpected value; permitted range 0..0.5",
        "Unsupported value for max_tokens: 100 exceeds 64",
        "temperature 0.7 is not accepted, it has to be <= 0.5",
        "不支持的 max_tokens：最大 64",
        "Unknown model m. The usual temperature is fine",
    ],
)
def test_a_refusal_for_another_reason_stays_one(words, tmp_path) -> None:
    with simulated() as server, pytest.raises(DomainError) as ended:
        server.objection = lambda _body: words
        Asked(server, tmp_path)
    assert ended.value.code == "all_refused"
    assert words in ended.value.message
    for request in server.requests:
        assert {"max_tokens", "temperature", "stream_options"} <= request.keys()


def test_a_server_that_takes_neither_name_ends_the_run_with_its_words(tmp_path) -> None:
    def objection(body: dict) -> str:
        name = next(name for name in body if name.startswith("max_"))
        return f"Unsupported parameter: '{name}'"

    with simulated() as server, pytest.raises(DomainError) as ended:
        server.objection = objection
        Asked(server, tmp_path)
    assert "Unsupported parameter: 'max_completion_tokens'" in ended.value.message


def test_answers_that_were_cut_off_are_spent_and_shown_apart(tmp_path) -> None:
    with simulated(lambda _prompt: WORDS, ["none", "none", "cut"]) as server:
        asked = Asked(server, tmp_path)
    spent = asked.spent
    assert asked.answers == [WORDS] * len(TEXTS)
    assert spent.cut_off == server.halves > 0
    assert spent.cut_off_tokens == HALF * server.halves
    assert spent.tokens == 150 * len(TEXTS) + spent.cut_off_tokens
    assert spent.cost - spent.cut_off_cost == Decimal(100 * 10 + 50 * 20) * len(TEXTS) / 10**6
    assert (spent.answers, spent.estimated) == (len(TEXTS), 0)


def test_a_time_out_after_the_first_bytes_is_spent_one_before_is_not(tmp_path) -> None:
    with simulated(lambda _prompt: WORDS, ["none", "stall", "hang"]) as server:
        spent = Asked(server, tmp_path, TEXTS[:4], timeout=2).spent
    assert server.halves < len(server.requests) - 4  # something hung, too
    assert spent.cut_off == server.halves > 0
    assert spent.cut_off_tokens == HALF * server.halves


def test_the_limit_covers_answers_that_are_cut_off_and_going_on_keeps_them(tmp_path) -> None:
    limits = Limits(tokens=100 + tokens_guess(TEXTS[0]) + 2 * HALF)
    with simulated(lambda _prompt: WORDS, ["cut"]) as server:
        with pytest.raises(DomainError) as ended:
            Asked(server, tmp_path, TEXTS[:1], limits)
        assert ended.value.code == "spending_limit"
        assert server.halves == 3  # the first, and as many as still fitted
        spent = Journal(tmp_path / "journal").spent()
        assert (spent.answers, spent.cut_off, spent.tokens) == (0, 3, 3 * HALF)
        assert spent.cut_off_tokens == spent.tokens <= limits.tokens
        assert spent.cost == spent.cut_off_cost > 0
        server.troubles = ["none"]
        asked = Asked(server, tmp_path)
        assert len(asked.answers) == len(TEXTS)
        assert (asked.spent.cut_off, asked.spent.cut_off_tokens) == (3, 3 * HALF)
        assert asked.spent.tokens == 150 * len(TEXTS) + 3 * HALF
        assert Journal(tmp_path / "journal").spent() == asked.spent


def test_an_answer_that_a_cancelled_run_does_not_wait_for_is_spent(tmp_path) -> None:
    with simulated(lambda _prompt: WORDS, ["stall"]) as server:
        looks = []

        def look() -> None:
            looks.append(server.halves)
            if looks[-3:] == [1, 1, 1]:  # what was sent has arrived for long
                raise InterruptedError

        with pytest.raises(InterruptedError):
            Asked(server, tmp_path, TEXTS[:1], look=look)
    spent = Journal(tmp_path / "journal").spent()
    assert (spent.cut_off, spent.tokens) == (1, HALF)


def part(*raw: bytes, most: int = 1000) -> int | None:
    """The tokens out of what came before it was cut off; None: nothing is spent."""

    async def chunks():
        for one in raw:
            yield one

    answer = Answer(["a question"])
    with pytest.raises(Busy):
        asyncio.run(answer.read(chunks()))
    found = answer.cut_off(most)
    assert found is None or (found.tokens_in, found.estimated) == (tokens_guess("a question"), True)
    return found and found.tokens_out


def test_what_counts_as_an_answer_that_was_cut_off() -> None:
    def event(**delta: str) -> bytes:
        return b"data: " + orjson.dumps({"choices": [{"delta": delta}]}) + b"\n\n"

    error = b'data: {"error": {"message": "overloaded"}}\n\n'
    assert part() is None
    assert part(error) is None
    assert part(b'{"error": {"message": "overloaded"}}') is None
    assert part(b": keep-alive\n\n", b": keep-alive\n\n") is None
    assert part(b"event: ping\ndata: {}\n\n") is None
    assert part(b": keep-alive\n\n", event(content="x" * 30)) == 11
    assert part(event(role="assistant", content="")) == 1
    assert part(event(content="x" * 30), error) == 11
    assert part(event(reasoning_content="x" * 30), event(content="y" * 30)) == 21
    assert part(event(content="x" * 30), event(content="y" * 30)[:25]) == 11
    whole = orjson.dumps({"choices": [{"message": {"content": "x" * 300}}]})
    assert 100 < part(whole[:320]) < 120
    assert part(whole[:320], most=64) == 64
