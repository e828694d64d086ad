"""Answers that stop before their end, and thoughts among them, become no rows."""

import asyncio
import sqlite3
from decimal import Decimal

import orjson
import pytest

from datasets.generation.asking import Asking
from datasets.generation.doors import HttpDoor, Server, Terms
from datasets.generation.events import Answer
from datasets.generation.journal import Answered, Journal
from datasets.recipes.kinds import steps_checked
from datasets.recipes.kinds.asking import GENERATE, JUDGE, REWRITE
from datasets.recipes.pipeline import apply
from datasets.recipes.words import REASONS
from datasets.shapes.mapping import Mapping
from tests.datasets.model_server import KEY, simulated

MODEL = "provider/00000000-0000-0000-0000-000000000001/m"
ALPACA = Mapping.of("alpaca", {"prompt": "instruction", "query": "input", "response": "output"})
ROWS = [
    {"instruction": f"When was treaty {n} signed?", "input": "", "output": f"In the year {n}."}
    for n in range(4)
]
CUT = "treaty 2"  # in what the model is asked about
STEPS = [
    ("generate", {"what": "answers"}),
    ("generate", {"what": "pairs"}),
    ("rewrite", {"how": "rewrite", "least_alike": 0, "keep": False}),
    ("rewrite", {"how": "translate", "least_alike": 0, "keep": False}),
    ("rewrite", {"how": "diversify", "least_alike": 0, "keep": False}),
    ("judge", {"least": 1}),
]


class Made:
    """What a step made of the rows with the model behind a server."""

    def __init__(self, server, folder, kind, parameters) -> None:
        self.told: list[str] = []
        terms = Terms(2, 60_000, Decimal(10), Decimal(20))
        door = HttpDoor(Server(server.url, "m", "sim", terms, key=KEY, allows_private=True))
        steps = steps_checked([{"kind": kind, "parameters": {"model": MODEL, **parameters}}])
        asking = Asking({MODEL: door}, Journal(folder / "j"), salt="s", tell=self.told.append)
        with asking:
            found, outcomes = apply(
                ROWS, steps, mapping=ALPACA, seed=1, folder=folder, asking=asking
            )
            self.rows = [row.value for row in found]
        self.dropped, self.spent = dict(outcomes[0].dropped), asking.spent


def answer(prompt: str) -> str:
    """One that every step can read."""
    if "score" in prompt:
        return '{"score": 4, "reason": "well said"}'
    if "JSON" in prompt:
        return '[{"question": "When?", "answer": "Then."}]'
    return "The treaty was signed in spring."


@pytest.mark.parametrize(
    ("finish_reason", "dropped", "words"),
    [
        ("length", "cut_short", "Raise “Longest answer in tokens”"),
        ("content_filter", "filtered", "filter broke an answer off"),
    ],
)
@pytest.mark.parametrize(("kind", "parameters"), STEPS)
def test_an_answer_that_stops_before_its_end_is_none(
    kind, parameters, finish_reason, dropped, words, tmp_path
) -> None:
    with simulated(answer) as server:
        whole = Made(server, tmp_path, kind, parameters)
        assert (len(whole.rows), whole.dropped, whole.told) == (len(ROWS), {}, [])
        per_row = len(server.requests) // len(ROWS)
        server.finish_reason = lambda prompt: finish_reason if CUT in prompt else "stop"
        (tmp_path / "cut").mkdir()
        cut = Made(server, tmp_path / "cut", kind, parameters)
        asked = len(server.requests) - per_row * len(ROWS)
        again = Made(server, tmp_path / "cut", kind, parameters)
    assert cut.rows == [row for row in whole.rows if row is not whole.rows[2]]
    assert cut.dropped == {dropped: 1}
    assert len(cut.told) == 1
    assert words in cut.told[0]
    assert asked == per_row * 3 + 1  # once: it would stop there again
    assert cut.spent.tokens == 150 * asked  # it is paid for
    assert (again.rows, again.dropped, again.told) == (cut.rows, cut.dropped, cut.told)
    assert again.spent == cut.spent


def test_the_reason_names_the_parameter_as_the_page_calls_it() -> None:
    for kind in (GENERATE, REWRITE, JUDGE):
        label = next(one.label for one in kind.parameters if one.name == "max_tokens")
        assert f"“{label}”" in str(REASONS["cut_short"])


def test_many_such_answers_are_told_of_once(tmp_path) -> None:
    with simulated(answer) as server:
        server.finish_reason = lambda _prompt: "length"
        made = Made(server, tmp_path, "generate", {"what": "answers"})
    assert (made.rows, made.dropped, len(made.told)) == ([], {"cut_short": len(ROWS)}, 1)


def test_a_journal_of_before_is_read_and_gone_on_with(tmp_path) -> None:
    with sqlite3.connect(tmp_path / "j") as base:
        base.execute(
            "CREATE TABLE answers (key TEXT PRIMARY KEY, text TEXT NOT NULL,"
            " tokens_in INTEGER, tokens_out INTEGER, estimated INTEGER, cost TEXT) WITHOUT ROWID"
        )
        base.execute("INSERT INTO answers VALUES ('old', 'text', 3, 4, 1, '0.5')")
    journal = Journal(tmp_path / "j")
    assert journal.get("old") == Answered("text", 3, 4, estimated=True)
    cut = Answered("half a", 1, 2, finish_reason="length")
    journal.put("new", cut, Decimal(1))
    again = Journal(tmp_path / "j")
    assert again.get("new") == cut
    assert again.spent().cost == Decimal("1.5")


def read(*deltas: dict[str, str], finish_reason: str = "stop") -> Answered:
    """The answer in these events."""

    async def chunks():
        for delta in deltas:
            yield b"data: " + orjson.dumps({"choices": [{"delta": delta}]}) + b"\n\n"
        last = {"delta": {}, "finish_reason": finish_reason}
        yield b"data: " + orjson.dumps({"choices": [last]}) + b"\n\n"

    return asyncio.run(Answer(["a question"]).read(chunks()))


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("<think>one</think>\n\n<think>two</think>1889", "1889"),
        ("it was in 18… no</think>\n\n1889", "1889"),  # the prompt opens the thoughts
        ("<think>that </think> ends</think>1889", "1889"),
        ("<think>let me see", ""),
        ("one</think><think>let me see", ""),
        ("1889", "1889"),
    ],
)
def test_thoughts_are_no_part_of_an_answer(said, text) -> None:
    assert read({"content": said}).text == text


def test_thoughts_in_a_field_of_their_own_are_paid_for_and_left_out() -> None:
    answered = read({"reasoning_content": "thoughts " * 30}, {"content": "1889"})
    assert answered.text == "1889"
    assert answered.tokens_out > 80
    only = read({"reasoning_content": "thoughts"}, finish_reason="length")
    assert (only.text, only.finish_reason) == ("", "length")


@pytest.mark.parametrize(
    ("finish_reason", "dropped"), [("stop", "unreadable"), ("length", "cut_short")]
)
@pytest.mark.parametrize(("kind", "parameters"), STEPS)
def test_thoughts_that_do_not_end_are_no_answer(
    kind, parameters, finish_reason, dropped, tmp_path
) -> None:
    def thinks(prompt: str) -> str:
        return f"<think>let me see {answer(prompt)}" if CUT in prompt else answer(prompt)

    with simulated(thinks) as server:
        server.finish_reason = lambda prompt: finish_reason if CUT in prompt else "stop"
        made = Made(server, tmp_path, kind, parameters)
    assert (len(made.rows), made.dropped) == (len(ROWS) - 1, {dropped: 1})
