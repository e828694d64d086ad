"""Rows of one message each become conversations."""

import random
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import DomainError
from datasets.recipes import grouping, kinds
from datasets.recipes.moments import moment_of
from datasets.recipes.pipeline import mappings_of, preview
from datasets.shapes.examples import example_of
from datasets.shapes.mapping import Mapping
from tests.datasets.test_recipe_steps import run

NOTHING = Mapping.of("", {})
COLUMNS = {"conversation": "session", "role": "who", "content": "said"}


def message(session, who, said, **more) -> dict:
    return {"session": session, "who": who, "said": said, **more}


def talks(rows) -> list[list[tuple[str, str]]]:
    return [[(m["from"], m["value"]) for m in row.value["conversations"]] for row in rows]


def grouped(values, folder, **given):
    rows, outcomes = run(values, ("group", {**COLUMNS, **given}), mapping=NOTHING, folder=folder)
    assert not [path for path in Path(folder).rglob("*") if path.is_file()]
    return rows, outcomes[0]


def test_messages_of_several_conversations_that_are_mixed(tmp_path) -> None:
    values = [
        message("b", "客户", "在吗"),
        message("a", "Customer", "Hi"),
        message("b", "客服", "在的"),
        message("a", "agent", "Hello."),
        message("a", "agent", "How can I help?"),
        message("a", "customer", "It is broken."),
        message("a", "customer", "The lamp."),
        message("a", "AGENT", "Sorry."),
    ]
    rows, outcome = grouped(values, tmp_path)
    assert talks(rows) == [
        [("human", "在吗"), ("gpt", "在的")],
        [
            ("human", "Hi"),
            ("gpt", "Hello.\nHow can I help?"),
            ("human", "It is broken.\nThe lamp."),
            ("gpt", "Sorry."),
        ],
    ]
    assert [row.number for row in rows] == [0, 1]
    assert (outcome["rows_in"], outcome["rows_out"]) == (8, 2)
    assert (outcome["found"], outcome["dropped"]) == ({"messages": 8}, {})


@pytest.mark.parametrize(
    "times",
    [
        ["3", "1", "2"],
        [1700000003, 1700000001, 1700000002],
        [0.3, -1.5, 0.25],
        ["2024-01-02 09:05", "2024-01-02 09:03:59.5", "2024-01-02T09:04:00Z"],
        ["2024/1/2 10:05", "2024/1/2 9:05", "2024/1/2 9:06:01"],
        ["2024年1月2日 下午1:05", "2024年1月2日 9:05", "2024-01-02 09:30 AM"],
        ["2024-01-02T09:00:00-01:00", "2024-01-02T10:30:00+01:00", "2024-01-02 09:45"],
        ["20240102090559", 202401020905, "2024-01-02 09:05:30"],
        ["1750000000000000003", "1750000000000000001", 1750000000000000002],
    ],
)
def test_messages_in_the_order_of_a_column(times, tmp_path) -> None:
    said = [("user", "last"), ("user", "first"), ("assistant", "second")]
    values = [message(1, *one, at=at) for one, at in zip(said, times, strict=True)]
    values.append(message(1, "assistant", "end", at=9e18))
    rows, _ = grouped(values, tmp_path, order="at")
    assert [text for _role, text in talks(rows)[0]] == ["first", "second", "last", "end"]
    assert rows[0].number == 1  # of its first message


@pytest.mark.parametrize("cell", ["yesterday", "31.01.2024", "2024-13-01", "", None, True, "nan"])
def test_what_is_no_moment(cell) -> None:
    assert moment_of(cell) is None


def test_what_is_dropped_says_why(tmp_path) -> None:
    values = [
        message("a", "assistant", "Welcome!"),
        message("a", "system", "Be kind."),
        message("a", "user", "Hi"),
        message("a", "system", "An agent has joined."),
        message("a", "user", "  "),
        message("a", "supervisor", "psst"),
        message("a", "agent", "Hello"),
        message("a", "user", "Bye"),
        message("", "user", "?"),
        message("b", "user", "alone"),
        message("b", "user", "still alone"),
        {"other": 1},
        ["no row"],
    ]
    rows, outcome = grouped(values, tmp_path)
    assert talks(rows) == [[("human", "Hi"), ("gpt", "Hello")]]
    assert rows[0].value["system"] == "Be kind."
    assert outcome["dropped"] == {
        "assistant_first": 1,
        "system_inside": 1,
        "empty": 1,
        "speaker": 1,
        "unanswered": 3,
        "no_conversation": 3,
    }
    assert outcome["found"] == {"messages": 3}


def test_senders_of_whom_one_is_us(tmp_path) -> None:
    values = [
        message(1, "Ann", "Is it open?"),
        message(1, "Lamp Shop", "Yes."),
        message(1, "Bob", "Today?"),
        message(1, "robot 7", "[photo]"),
        message(1, "lamp shop", "Today."),
    ]
    given_so = {"roles": "Lamp Shop = assistant\nRobot 7 = drop", "others": "user"}
    rows, outcome = grouped(values, tmp_path, **given_so)
    sides = [role for role, _text in talks(rows)[0]]
    assert sides == ["human", "gpt", "human", "gpt"]
    assert outcome["dropped"] == {"speaker": 1}
    signed = [{**one, "who": one["who"] == "Lamp Shop"} for one in values[:2]]
    rows, _ = grouped(signed, tmp_path, roles="true = assistant\nfalse = user")
    assert talks(rows) == [[("human", "Is it open?"), ("gpt", "Yes.")]]


def test_cells_within_others(tmp_path) -> None:
    values = [{"chat": {"id": 1}, "by": {"role": one}, "said": one} for one in ("user", "bot")]
    rows, _ = grouped(values, tmp_path, conversation="chat.id", role="by.role")
    assert talks(rows) == [[("human", "user"), ("gpt", "bot")]]


@pytest.mark.parametrize(
    "written",
    [
        int,
        lambda at: at * 1000,
        lambda at: at * 10**6,
        lambda at: f"{datetime.fromtimestamp(at, UTC):%Y%m%d%H%M%S}",
    ],
    ids=["s", "ms", "µs", "compact"],
)
@pytest.mark.parametrize("conversation", ["session", ""])
def test_silence_parts(written, conversation, tmp_path) -> None:
    """Also where no column names the conversation; where one does, all parts have one origin."""
    minutes = [0, 1, 30, 31, 62, 63]
    values = [
        message(1, ("user", "bot")[n % 2], str(at), at=written(1700000000 + 60 * at))
        for n, at in enumerate(minutes)
    ]
    random.Random(1).shuffle(values)
    rows, _ = grouped(values, tmp_path, order="at", silence=30, conversation=conversation)
    assert talks(rows) == [
        [("human", "0"), ("gpt", "1"), ("human", "30"), ("gpt", "31")],
        [("human", "62"), ("gpt", "63")],
    ]
    assert len({row.origin for row in rows}) == (1 if conversation else 2)
    assert rows[0].origin
    assert len({row.key for row in rows}) == 2


def test_columns_that_are_equal_go_along(tmp_path) -> None:
    values = [
        message(7, "user", "a", product="lamp", at=1, tags=["x"]),
        message(7, "bot", "b", product="lamp", at=2, tags=["y"]),
    ]
    rows, _ = grouped(values, tmp_path, order="at")
    kept = {name for name in rows[0].value if name not in {"conversations", "system", "tools"}}
    assert kept == {"session", "product"}
    rows, _ = grouped(values, tmp_path, keep=False)
    assert "product" not in rows[0].value


@pytest.mark.parametrize("shape", ["sharegpt", "openai"])
def test_rows_are_read_in_the_shape_that_is_asked_for(shape, tmp_path) -> None:
    values = [message(1, "system", "s"), message(1, "user", "q"), message(1, "bot", "a")]
    rows, _ = grouped(values, tmp_path, shape=shape)
    steps = kinds.steps_checked([{"kind": "group", "parameters": {**COLUMNS, "shape": shape}}])
    example = example_of(rows[0].value, mappings_of(steps, NOTHING)[-1])
    assert (example.system, [turn.content for turn in example.turns]) == ("s", ["q", "a"])
    assert kinds.reads_any(steps)


def test_conversations_that_are_too_long(tmp_path, monkeypatch) -> None:
    """Such as those of a wrong column: they are dropped, and never in memory as a whole."""
    monkeypatch.setattr(grouping, "MESSAGES_MAX", 3)
    monkeypatch.setattr(grouping, "BYTES_MAX", 1000)
    values = [message("long", ("user", "bot")[n % 2], "x") for n in range(4)]
    values += [message("wide", "user", "x" * 990), message("wide", "bot", "x")]
    values += [message("fine", "user", "q"), message("fine", "bot", "a")]
    rows, outcome = grouped(values, tmp_path)
    assert talks(rows) == [[("human", "q"), ("gpt", "a")]]
    assert outcome["dropped"] == {"talk_too_long": 6}


_SPEAKERS = ("user", "assistant", "system", "nobody")
_MESSAGES = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from(_SPEAKERS), st.integers(0, 20)), max_size=40
)


def _parts(values, order, silence) -> list[set[str]]:
    """What is said without a silence between it, the plain way."""
    found: list[set[str]] = []
    for talk in {value["session"] for value in values}:
        said = [one for one in values if one["session"] == talk and one["who"] != "nobody"]
        last = None
        for one in sorted(said, key=lambda one: one["at"]) if order else said:
            if last is None or (silence and one["at"] - last > 60 * silence):
                found.append(set())
            found[-1].add(one["said"])
            last = one["at"]
    return found


@settings(max_examples=150, deadline=None)
@given(_MESSAGES, st.sampled_from(["", "at"]), st.sampled_from([None, 5]))
def test_no_message_is_lost_or_moved(drawn, order, silence) -> None:
    """Each one stands in one conversation, in its order, or is dropped and counted; sides take
    turns, the user begins and the assistant ends; the same again gives the same.
    """
    values = [
        message(talk, who, f"m{number}", at=1700000000 + 60 * minute)
        for number, (talk, who, minute) in enumerate(drawn)
    ]
    values += [message("sure", "user", "q", at=16e8), message("sure", "assistant", "a", at=16e8)]
    silence = silence if order else None
    with tempfile.TemporaryDirectory() as one:
        rows, outcome = grouped(values, Path(one), order=order, silence=silence)
    with tempfile.TemporaryDirectory() as other:
        assert grouped(values, Path(other), order=order, silence=silence)[0] == rows
    assert outcome["found"]["messages"] + sum(outcome["dropped"].values()) == len(values)
    of_text = {value["said"]: place for place, value in enumerate(values)}
    seen: list[str] = []
    parts = _parts(values, order, silence)
    for row in rows:
        turns = talks([row])[0]
        assert [role for role, _text in turns] == ["human", "gpt"] * (len(turns) // 2)
        texts = [text for _role, joined in turns for text in joined.split("\n")]
        found = [values[of_text[text]] for text in texts]
        places = [(one["at"] if order else 0, of_text[one["said"]]) for one in found]
        assert places == sorted(places)
        assert {one["session"] for one in found} == {row.value["session"]}
        assert any(set(texts) <= part for part in parts)
        seen += texts + [text for text in row.value["system"].split("\n") if text]
    assert len(seen) == len(set(seen)) == outcome["found"]["messages"]
    assert len({row.key for row in rows}) == len(rows)


@pytest.mark.parametrize(
    ("given_so", "parameter"),
    [
        ({"role": ""}, "role"),
        ({"content": ""}, "content"),
        ({"conversation": ""}, "conversation"),
        ({"silence": 5}, "order"),
        ({"silence": 0, "order": "at"}, "silence"),
        ({"roles": "shop"}, "roles"),
        ({"roles": "shop = boss"}, "roles"),
        ({"roles": "= user"}, "roles"),
        ({"shape": "alpaca"}, "shape"),
    ],
)
def test_steps_that_cannot_be(given_so, parameter) -> None:
    with pytest.raises(DomainError) as refused:
        kinds.steps_checked([{"kind": "group", "parameters": {**COLUMNS, **given_so}}])
    assert refused.value.data["parameter"] == parameter


@pytest.mark.parametrize(
    ("given_so", "words"),
    [
        ({"content": "body"}, "No row has a column “body”"),
        ({"conversation": "chat"}, "No row has a column “chat”"),
        ({"order": "day"}, "“day” holds neither numbers nor times that can be read: “Monday”"),
        ({"order": "n", "silence": 5}, "“n” holds no times"),
        ({"role": "day"}, "“Monday = assistant”"),
        ({"role": "day", "others": "user"}, "who these are: Monday, Sunday"),
    ],
)
def test_rows_that_cannot_be_grouped(given_so, words, tmp_path) -> None:
    values = [
        message(1, "user", "a", day="Monday", n=1),
        message(1, "bot", "b", day="Sunday", n=2),
    ]
    with pytest.raises(DomainError) as refused:
        grouped(values, tmp_path, **given_so)
    assert words in refused.value.message
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert grouped([], tmp_path, **given_so)[0] == []


def test_the_preview_shows_messages_and_what_became_of_them() -> None:
    values = [
        message(1, "user", "q"),
        message(1, "bot", "a"),
        message(1, "user", "and?"),
    ]
    steps = kinds.steps_checked([{"kind": "group", "parameters": COLUMNS}])
    seen = preview(values, steps, mapping=NOTHING, seed=1)
    first, second, third = seen.rows
    new = [(text.role, text.after[0].text) for text in first.texts if text.after]
    assert new == [("user", "q"), ("assistant", "a")]
    assert (second.step, second.reason, second.joined) == (1, "joined", True)
    assert (third.step, third.reason, third.joined) == (1, "unanswered", False)
    assert [text.role for text in third.texts] == ["session", "who", "said"]
    assert (seen.changed, seen.lost, seen.added) == (1, 1, 0)


def test_later_steps_read_conversations_and_keep_parts_together(tmp_path) -> None:
    values = [
        message(
            talk,
            ("user", "bot")[n % 2],
            f"{talk} {n} a{talk}@b.org",
            at=1700000000 + 9999 * (n // 2),
        )
        for talk in range(20)
        for n in range(4)
    ]
    steps = (
        ("group", {**COLUMNS, "order": "at", "silence": 30, "keep": False}),
        ("mask", {"scope": "dataset"}),
        ("split", {"test_share": 0.3}),
    )
    rows, outcomes = run(values, *steps, mapping=NOTHING, folder=tmp_path)
    assert (outcomes[0]["rows_out"], len(rows)) == (40, 40)
    parts: dict[str, set[str]] = {}
    for row in rows:
        parts.setdefault(row.origin, set()).add(row.part)
        assert row.stored["origin_id"] == row.origin
    assert len(parts) == 20
    assert all(len(one) == 1 for one in parts.values())
    assert "[EMAIL_20]" in str([row.value for row in rows])


def test_talks_that_silence_alone_parts_can_be_split(tmp_path) -> None:
    values = [
        message(1, ("user", "bot")[n], f"{talk} {n}", at=1700000000 + 9999 * talk)
        for talk in range(40)
        for n in range(2)
    ]
    steps = (
        ("group", {**COLUMNS, "conversation": "", "order": "at", "silence": 30}),
        ("split", {"test_share": 0.3}),
    )
    rows, _outcomes = run(values, *steps, mapping=NOTHING, folder=tmp_path)
    assert len({row.origin for row in rows}) == len(rows) == 40
    assert {row.part for row in rows} == {"train", "test"}
