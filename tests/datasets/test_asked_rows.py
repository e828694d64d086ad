"""What steps make of what models answer, step by step, without a server."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import asynccontextmanager
from decimal import Decimal

import orjson
import pytest

from common.errors import DomainError
from datasets.generation.asking import Asking, Limits
from datasets.generation.doors import Terms
from datasets.generation.events import Answer
from datasets.generation.journal import Answered, Journal
from datasets.generation.prompts import messages_of
from datasets.generation.reading import items_found, json_found
from datasets.recipes.kinds import steps_checked
from datasets.recipes.pipeline import apply
from datasets.shapes.mapping import Mapping

TEXT = Mapping.of("text", {"prompt": "text"})
ALPACA = Mapping.of("alpaca", {"prompt": "instruction", "query": "input", "response": "output"})
MODEL = "deployment/00000000-0000-0000-0000-000000000001"


class SimulatedDoor:
    """Answers at once with what `answer` makes of the last message."""

    label = "simulated"

    def __init__(self, answer: Callable[[str], str], terms: Terms | None = None) -> None:
        self.answer, self.terms = answer, terms or Terms(3, 60_000)
        self.asked: list[str] = []

    @asynccontextmanager
    async def ask(self, question, key):
        prompt = question["messages"][-1]["content"]
        self.asked.append(prompt)
        whole = {"message": {"content": self.answer(prompt)}, "finish_reason": "stop"}

        async def chunks():
            yield orjson.dumps({"choices": [whole], "usage": {}})

        yield chunks()

    async def close(self) -> None:
        """Nothing is open."""


def run(kind, parameters, rows, answer, tmp_path, mapping=TEXT):
    """The rows and what the step did."""
    steps = steps_checked([{"kind": kind, "parameters": {"model": MODEL, **parameters}}])
    door = SimulatedDoor(answer)
    with Asking({MODEL: door}, Journal(tmp_path / "j"), salt="s") as asking:
        found, outcomes = apply(
            rows, steps, mapping=mapping, seed=1, folder=tmp_path, asking=asking
        )
        return [row.value for row in found], outcomes[0], door


def test_questions_then_answers_with_their_context(tmp_path) -> None:
    rows, did, door = run(
        "generate",
        {"what": "questions", "count": 2},
        [{"text": "水在一百度沸腾。", "title": "t"}],
        lambda _prompt: '["水何时沸腾？", "什么在一百度沸腾？", "多余的？"]',
        tmp_path,
    )
    assert rows == [
        {"text": "水何时沸腾？", "context": "水在一百度沸腾。", "origin": "questions: 1"},
        {"text": "什么在一百度沸腾？", "context": "水在一百度沸腾。", "origin": "questions: 1"},
    ]
    assert "根据下面的文本" in door.asked[0]  # a Chinese text is asked about in Chinese
    assert did.found == {"questions": 2}
    (tmp_path / "more").mkdir()
    rows, did, door = run(
        "generate", {"what": "answers"}, rows, lambda _prompt: "一百度。", tmp_path / "more"
    )
    assert rows[0]["instruction"] == "水何时沸腾？"
    assert rows[0]["output"] == "一百度。"
    assert "水在一百度沸腾。" in door.asked[0]


@pytest.mark.parametrize(
    ("what", "answer", "wanted"),
    [
        (
            "preference",
            '{"rows": [{"question": "q", "good": "g", "bad": "b"}, {"question": "q", "good": 1}]}',
            {"instruction": "q", "input": "", "chosen": "g", "rejected": "b"},
        ),
        (
            "dialogues",
            '[["hi", "hello", "and?", "yes"], ["alone"], ["a", ""]]',
            {
                "messages": [
                    {"role": "user", "content": "hi"},
                    {"role": "assistant", "content": "hello"},
                    {"role": "user", "content": "and?"},
                    {"role": "assistant", "content": "yes"},
                ]
            },
        ),
        (
            "pairs",
            '{"question": "q", "answer": "a"}',
            {"instruction": "q", "input": "", "output": "a"},
        ),
    ],
)
def test_what_is_generated(what, answer, wanted, tmp_path) -> None:
    rows, _did, _door = run(
        "generate", {"what": what}, [{"text": "a text"}], lambda _prompt: answer, tmp_path
    )
    assert rows == [{**wanted, "origin": f"{what}: 1"}]


def test_own_words_and_kept_columns(tmp_path) -> None:
    given = {"template": "Frage zu {text}, {count} Stück, {language}", "keep": True, "count": 4}
    rows, _did, door = run(
        "generate",
        {**given, "language": "en"},
        [{"text": "braces {count} stay", "page": 3}],
        lambda _prompt: '[{"question": "q", "answer": "a"}]',
        tmp_path,
    )
    assert door.asked[0].startswith("Frage zu braces {count} stay, 4 Stück, English")
    assert rows[0]["page"] == 3
    assert rows[0]["context"] == "braces {count} stay"
    for template in ("no text", "{text} and {other}"):
        with pytest.raises(DomainError):
            steps_checked(
                [{"kind": "generate", "parameters": {"model": MODEL, "template": template}}]
            )


def test_a_model_must_be_named() -> None:
    for wrong in ("", "x", "provider/1/m", f"{MODEL}/x", "provider/" + MODEL[11:]):
        with pytest.raises(DomainError):
            steps_checked([{"kind": "judge", "parameters": {"model": wrong}}])


def test_rewritten_rows_name_their_origin_and_copies_are_dropped(tmp_path) -> None:
    def answer(prompt: str) -> str:
        if "same please" in prompt:
            return "same please"
        if "far away" in prompt:
            return "ZZZ 123 !?"
        return "How do I open the big door quickly?"

    asked = ["How do I open the big door?", "same please", "far away from all else"]
    rows, did, door = run(
        "rewrite",
        {"how": "rewrite", "style": "Be short.", "least_alike": 0.2},
        [{"instruction": text, "input": "", "output": "Push. " * 50} for text in asked],
        answer,
        tmp_path,
        ALPACA,
    )
    assert [row["instruction"] for row in rows] == [
        asked[0], "How do I open the big door quickly?", asked[1], asked[2],
    ]  # fmt: skip
    assert rows[1]["origin"] == "rewrite: 1"
    assert rows[1]["output"] == "Push. " * 50
    assert did.dropped == {"too_close": 1, "too_far": 1}
    assert all("Be short." in prompt for prompt in door.asked)


def test_back_translation_goes_there_and_back(tmp_path) -> None:
    def answer(prompt: str) -> str:
        return "Wie öffne ich das Tor?" if "德文" in prompt else "我怎样打开这扇门？"

    rows, did, door = run(
        "rewrite",
        {"how": "translate", "through": "de", "least_alike": 0, "keep": False},
        [{"instruction": "我怎么打开这扇门？", "input": "", "output": "推。"}],
        lambda prompt: answer(prompt.replace("German", "德文")),
        tmp_path,
        ALPACA,
    )
    assert [row["instruction"] for row in rows] == ["我怎样打开这扇门？"]
    assert len(door.asked) == 2
    assert "Wie öffne ich" in door.asked[1]
    assert did.found == {"translate": 1}


def test_answers_are_diversified_with_their_question(tmp_path) -> None:
    rows, _did, door = run(
        "rewrite",
        {"how": "diversify", "variants": 2, "least_alike": 0},
        [{"instruction": "Why?", "input": "", "output": "Because it is."}],
        lambda _prompt: "Since things are as they are.",
        tmp_path,
        ALPACA,
    )
    assert [row["output"] for row in rows][1:] == ["Since things are as they are."] * 2
    assert "Why?" in door.asked[0]
    assert len({str(row.get("origin")) for row in rows}) == 2


def test_a_failed_variant_leaves_its_row(tmp_path) -> None:
    rows, did, _door = run(
        "rewrite",
        {"how": "rewrite"},
        [{"instruction": "q", "input": "", "output": "a"}],
        lambda _prompt: "  ",
        tmp_path,
        ALPACA,
    )
    assert [row["instruction"] for row in rows] == ["q"]
    assert did.dropped == {"unreadable": 1}


def test_json_is_found_whatever_stands_around_it() -> None:
    assert json_found('Sure [1]!\n```json\n{"a": 1}\n```') == {"a": 1}
    assert json_found('x {"a": [1]} y') == {"a": [1]}
    assert json_found("[" * 100_000) is None
    assert json_found("nothing") is None
    assert items_found('{"a": 1}') == [{"a": 1}]
    assert items_found('{"items": ["x"]}') == ["x"]


def test_the_journal_keeps_what_it_was_given(tmp_path) -> None:
    journal = Journal(tmp_path / "j")
    journal.put("k", Answered("text", 3, 4, estimated=True), Decimal("0.5"))
    again = Journal(tmp_path / "j")  # without closing the first
    assert again.get("k") == Answered("text", 3, 4, estimated=True)
    assert again.get("l") is None
    spent = again.spent()
    assert (spent.answers, spent.tokens, spent.estimated) == (1, 7, 1)
    assert spent.stored()["cost"] == "0.5"
    journal.close()
    again.close()


def test_thoughts_are_left_out_and_tokens_estimated() -> None:
    async def chunks():
        text = "<think>long\nthoughts</think>\n\nthe answer"
        event = {"choices": [{"delta": {"content": text}, "finish_reason": "stop"}]}
        raw = b": hello\n\ndata: " + orjson.dumps(event) + b"\r\n\r\ndata: [DONE]\n\n"
        for place in range(0, len(raw), 7):
            yield raw[place : place + 7]

    answered = asyncio.run(Answer(["a question"]).read(chunks()))
    assert answered.text == "the answer"
    assert answered.estimated
    assert answered.tokens_out > 10  # thoughts are paid for, too


def test_the_limit_holds_while_many_answers_are_under_way(tmp_path) -> None:
    door = SimulatedDoor(lambda _prompt: "x" * 290, Terms(8, 60_000, Decimal(0), Decimal(10**6)))
    steps = steps_checked(
        [{"kind": "generate", "parameters": {"model": MODEL, "what": "answers", "max_tokens": 100}}]
    )
    rows = [{"text": f"question {n}"} for n in range(50)]
    with pytest.raises(DomainError) as refused:
        limits = Limits(cost=Decimal(1000))
        journal = Journal(tmp_path / "j")
        with Asking({MODEL: door}, journal, salt="s", limits=limits) as asking:
            found, _outcomes = apply(
                rows, steps, mapping=TEXT, seed=1, folder=tmp_path, asking=asking
            )
            list(found)
    assert refused.value.code == "spending_limit"
    assert 900 < asking.spent.cost <= 1000
    assert threading.active_count() < 20


def test_a_text_is_asked_about_in_its_language() -> None:
    assert "English" in messages_of("pairs", "水", into="en", count=1)[1]["content"]
    assert "中文" in messages_of("pairs", "water", into="zh", count=1)[1]["content"]
    assert "the language of the text" in messages_of("pairs", "eau", count=1)[1]["content"]
