"""The steps of recipes as functions over rows."""

import json
import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import DomainError
from datasets.recipes import kinds
from datasets.recipes.clean import repaired
from datasets.recipes.duplicates import bands_of
from datasets.recipes.identifiers import id_card_valid, luhn_valid
from datasets.recipes.markup import markup_strip
from datasets.recipes.masking import Masker
from datasets.recipes.personal import KINDS, found_in
from datasets.recipes.pipeline import apply, preview
from datasets.recipes.placeholders import RowNumbers
from datasets.recipes.rows import texts_change, texts_of
from datasets.shapes.mapping import Mapping

ALPACA = Mapping.of("alpaca", {"prompt": "q", "response": "a"})
SHAREGPT = Mapping.of("sharegpt", {"messages": "conversations"})
OPENAI = Mapping.of("openai", {"messages": "messages"})
PREFERENCE = Mapping.of("preference", {"prompt": "q", "chosen": "c", "rejected": "r"})
KTO = Mapping.of("kto", {"prompt": "q", "response": "a", "kto_tag": "good"})
TEXT = Mapping.of("text", {"prompt": "text"})
ALL = {
    "alpaca": (ALPACA, lambda text: {"q": text, "a": text}),
    "sharegpt": (
        SHAREGPT,
        lambda text: {
            "conversations": [{"from": "human", "value": text}, {"from": "gpt", "value": text}]
        },
    ),
    "openai": (
        OPENAI,
        lambda text: {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": text}]},
                {"role": "assistant", "content": text},
            ]
        },
    ),
    "preference": (PREFERENCE, lambda text: {"q": text, "c": text, "r": text}),
    "kto": (KTO, lambda text: {"q": text, "a": text, "good": True}),
    "text": (TEXT, lambda text: {"text": text}),
}


def run(values, *steps, mapping=ALPACA, seed=1, folder):
    """The rows left and what each step did."""
    checked = kinds.steps_checked([{"kind": kind, "parameters": given} for kind, given in steps])
    rows, outcomes = apply(values, checked, mapping=mapping, seed=seed, folder=folder)
    return list(rows), [outcome.stored() for outcome in outcomes]


def qa(question: str, answer: str = "yes") -> dict[str, str]:
    return {"q": question, "a": answer}


# --- texts of every shape ---------------------------------------------------------------------


@pytest.mark.parametrize("shape", ALL)
def test_every_shape_is_changed_alike(shape, tmp_path) -> None:
    mapping, build = ALL[shape]
    value = build("mail a@b.org")
    rows, outcomes = run([value], ("mask", {}), mapping=mapping, folder=tmp_path)
    texts = [text for _role, text in texts_of(rows[0].value, mapping)]
    assert len(texts) >= 1
    assert set(texts) == {"mail [EMAIL_1]"}
    assert outcomes[0]["found"] == {"email": len(texts)}
    assert value == build("mail a@b.org")  # the input stays as it is


@given(st.sampled_from(sorted(ALL)), st.text())
def test_a_change_that_changes_nothing_keeps_the_row(shape, text) -> None:
    mapping, build = ALL[shape]
    assert texts_change(build(text), mapping, str, everywhere=True) == build(text)


def test_calls_of_tools_stay_json(tmp_path) -> None:
    call = {"name": "pay", "arguments": {"card": 4111111111111111, "to": "a@b.org"}}
    value = {
        "conversations": [
            {"from": "human", "value": "pay"},
            {"from": "function_call", "value": json.dumps(call)},
        ]
    }
    rows, _ = run([value], ("mask", {}), mapping=SHAREGPT, folder=tmp_path)
    changed = json.loads(rows[0].value["conversations"][1]["value"])
    assert changed["arguments"] == {"card": "[BANK_CARD_1]", "to": "[EMAIL_1]"}
    openai = {
        "messages": [
            {"role": "user", "content": "x"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"function": {"name": "f", "arguments": '{"to": "a@b.org"}'}}],
            },
        ]
    }
    rows, _ = run([openai], ("mask", {}), mapping=OPENAI, folder=tmp_path)
    function = rows[0].value["messages"][1]["tool_calls"][0]["function"]
    assert json.loads(function["arguments"]) == {"to": "[EMAIL_1]"}


def test_cells_of_csv_are_read_as_they_are_checked(tmp_path) -> None:
    mapping = Mapping.of(
        "kto", {"prompt": "q", "response": "a", "kto_tag": "good", "history": "h"}, from_csv=True
    )
    value = {"q": "x", "a": "y", "good": "True", "h": '[["a@b.org", "z"]]'}
    rows, _ = run([value], ("mask", {}), mapping=mapping, folder=tmp_path)
    assert rows[0].value == {"q": "x", "a": "y", "good": True, "h": [["[EMAIL_1]", "z"]]}


# --- clean -------------------------------------------------------------------------------------


def test_chinese_punctuation_is_no_damage() -> None:
    """ftfy with its defaults would make `，` a comma and straighten quotes."""
    text = "他说：“你好，世界！”（真的）；ＡＢＣ １２３"
    given = kinds.KINDS["clean"].defaults()
    assert repaired(text, given) == text
    assert repaired("cafÃ© “ok” ä½ å¥½", given).startswith("café “ok”")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("<p>one</p><p>two &amp; three</p>", "\none\ntwo & three\n"),
        ("<div class='x>'>a</div>", "\n'>a\n"),
        ("a<script>evil('<b>')</script>b<!-- gone -->c", "abc"),
        ("x < 3 and List<String> y > 2", "x < 3 and List<String> y > 2"),
        (
            "<think>why</think><tool_call>{}</tool_call>",
            "<think>why</think><tool_call>{}</tool_call>",
        ),
        ("see ```html\n<b>code</b>``` and <b>bold</b>", "see ```html\n<b>code</b>``` and bold"),
        ("left <a href=", "left <a href="),
        ("open <!-- for ever <b>x</b>", "open <!-- for ever x"),
    ],
)
def test_markup(text, wanted) -> None:
    assert markup_strip(text) == wanted


@pytest.mark.parametrize("piece", ["<", "<a ", "<!--", "</b", "&amp", "```"])
def test_markup_without_an_end_stays(piece) -> None:
    """A million signs of it: looking for each end anew would take minutes."""
    text = piece * (1_000_000 // len(piece))
    assert len(markup_strip(text)) in range(len(text) - 4 * len(text) // 5, len(text) + 1)


def test_scripts_without_an_end() -> None:
    """The tags go, what stands between them stays."""
    assert markup_strip("<script>a" * 100_000) == "a" * 100_000


@given(st.text())
def test_repairs_are_done_once(text) -> None:
    given = kinds.KINDS["clean"].defaults()
    once = repaired(text, given | {"encoding": False})
    assert repaired(once, given | {"encoding": False}) == once


def test_rows_are_dropped_for_a_reason(tmp_path) -> None:
    values = [
        qa("fine and long enough"),
        qa("a", "b"),
        qa("x" * 300),
        qa("哈" * 60),
        qa("!!! ??? *** ---", "###"),
        qa("as an AI model I cannot"),
    ]
    rows, outcomes = run(
        values,
        (
            "clean",
            {
                "min_chars": 5,
                "max_chars": 200,
                "max_repetition": 0.5,
                "max_symbols": 0.5,
                "pattern": "(?i)as an ai",
            },
        ),
        folder=tmp_path,
    )
    assert [row.number for row in rows] == [0]
    assert outcomes[0]["dropped"] == {
        "too_short": 1, "too_long": 1, "repetitive": 1, "symbols": 1, "pattern": 1,
    }  # fmt: skip
    kept, _ = run(values, ("clean", {"pattern": "AI", "pattern_drops": "others"}), folder=tmp_path)
    assert [row.number for row in kept] == [5]


def test_a_pattern_without_end_is_refused(tmp_path) -> None:
    """It would run for years; the refusal names the row."""
    with pytest.raises(DomainError) as refused:
        run([qa("a" * 60 + "!")], ("clean", {"pattern": r"(a|aa)+$"}), folder=tmp_path)
    assert refused.value.code == "pattern_slow"
    assert "row 1" in refused.value.message


# --- deduplicate -------------------------------------------------------------------------------


def test_exact_duplicates(tmp_path) -> None:
    """White space and Unicode forms make no difference, words, roles and marks do."""
    values = [qa("café"), qa(" cafe\u0301 "), qa("Café"), qa("yes", "café"), qa("café")]
    rows, outcomes = run(values, ("deduplicate", {"mode": "exact"}), folder=tmp_path)
    assert [row.number for row in rows] == [0, 2, 3]
    assert (outcomes[0]["clusters"], outcomes[0]["dropped"]) == (1, {"duplicate": 2})
    marked = [{"q": "x", "a": "y", "good": mark} for mark in (True, False, True)]
    for mode in ("exact", "near"):
        rows, _ = run(marked, ("deduplicate", {"mode": mode}), mapping=KTO, folder=tmp_path)
        assert [row.value["good"] for row in rows] == [True, False]


@given(st.lists(st.sampled_from("abcdef"), max_size=30))
def test_exact_keeps_the_first_of_each(tmp_path_factory, letters) -> None:
    folder = tmp_path_factory.mktemp("work")
    values = [qa(letter) for letter in letters]
    rows, outcomes = run(values, ("deduplicate", {"mode": "exact"}), folder=folder)
    assert [row.value["q"] for row in rows] == list(dict.fromkeys(letters))
    assert sum(outcomes[0]["dropped"].values()) == len(letters) - len(rows)


def _planted(drawn: random.Random, chinese: bool) -> tuple[list[str], list[str]]:
    """Different texts, and of each a copy with a word more."""
    if chinese:
        signs = [chr(0x4E00 + drawn.randrange(3000)) for _ in range(120)]
        return "".join(signs), "".join([*signs[:60], "改", *signs[60:]])
    words = ["".join(drawn.choices(string.ascii_lowercase, k=6)) for _ in range(40)]
    return " ".join(words), " ".join([*words[:20], "really", *words[20:]])


def test_near_duplicates_are_found_and_nothing_else(tmp_path) -> None:
    """Planted ones, Chinese and English: recall and precision at least 0.95."""
    drawn = random.Random(7)
    pairs = [_planted(drawn, chinese=place % 2 == 0) for place in range(400)]
    values = [qa(text, "") for text, _copy in pairs] + [qa(copy, "") for _text, copy in pairs]
    rows, outcomes = run(values, ("deduplicate", {"threshold": 0.8}), folder=tmp_path)
    kept = {row.number for row in rows}
    assert all(number in kept for number in range(400))  # precision 1: no other row goes
    assert outcomes[0]["dropped"]["near_duplicate"] >= 0.95 * 400
    assert outcomes[0]["clusters"] == outcomes[0]["dropped"]["near_duplicate"]
    strict, _ = run(values, ("deduplicate", {"threshold": 1.0}), folder=tmp_path)
    assert len(strict) >= 790  # 128 numbers may be equal by chance


def test_bands_find_pairs_at_the_threshold() -> None:
    for threshold in (0.5, 0.7, 0.8, 0.9, 1.0):
        bands, width = bands_of(threshold)
        assert 1 - (1 - threshold**width) ** bands >= 0.99


# --- mask --------------------------------------------------------------------------------------


def masked(text: str) -> str:
    return Masker(list(KINDS), RowNumbers({"q": text})).masked(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("邮箱zhang.san@example.com.cn，谢谢", "邮箱[EMAIL_1]，谢谢"),
        ("A@b.org, then a@B.org and c@d.org", "[EMAIL_1], then [EMAIL_1] and [EMAIL_2]"),
        ("电话13812345678或+86 138-1234-5678", "电话[PHONE_1]或[PHONE_1]"),
        ("call 010-62345678 or (212) 555-2368", "call [PHONE_1] or [PHONE_2]"),
        ("ring +44 20 7946 0958 now", "ring [PHONE_1] now"),
        ("身份证11010519491231002X。", "身份证[ID_CARD_1]。"),
        ("not 110105194912310021", "not 110105194912310021"),  # the checksum is wrong
        ("card 4111 1111 1111 1111", "card [BANK_CARD_1]"),
        ("card 4111 1111 1111 1112", "card 4111 1111 1111 1112"),
        ("from 203.0.113.7, 127.0.0.1, 1.2.3", "from [IP_1], 127.0.0.1, 1.2.3"),
        ("at 12:30:45 on 2001:db8::1", "at 12:30:45 on [IP_1]"),
        ("key sk-abcdefghijklmnopqrstuvwx", "key [KEY_1]"),
        ('password = "hunter2hunter2"', 'password = "[KEY_1]"'),
        ("order 20240131123456 of 2024-01-31", "order 20240131123456 of 2024-01-31"),
        ("[EMAIL_3] and a@b.org", "[EMAIL_3] and [EMAIL_4]"),
    ],
)
def test_what_is_masked(text, wanted) -> None:
    assert masked(text) == wanted


@given(st.text(alphabet=string.printable + "电话，：＠", max_size=300))
def test_what_is_masked_stays_as_it_is(text) -> None:
    once = masked(text)
    assert masked(once) == once


@given(st.from_regex(r"[3-6][0-9]{14}", fullmatch=True), st.integers(0, 9))
def test_luhn(digits, last) -> None:
    """Exactly one last digit is right."""
    assert sum(luhn_valid(digits + str(digit)) for digit in range(10)) == 1
    number = digits + str(last)
    assert bool(list(found_in(number, "bank_card"))) == luhn_valid(number)


@given(
    st.from_regex(r"[1-9][0-9]{5}19[0-9]{2}(0[1-9]|1[0-2])(0[1-9]|1[0-9])[0-9]{3}", fullmatch=True)
)
def test_identity_cards(digits) -> None:
    assert sum(id_card_valid(digits + last) for last in "0123456789X") == 1


def test_planted_personal_data(tmp_path) -> None:
    """Recall of the kinds with a pattern or checksum, in Chinese and English: at least 0.95."""
    drawn = random.Random(3)

    def card() -> str:
        digits = "62" + "".join(drawn.choices(string.digits, k=13))
        return next(f"{digits}{last}" for last in range(10) if luhn_valid(f"{digits}{last}"))

    def identity() -> str:
        digits = (
            f"110105{drawn.randrange(1950, 2010)}0{drawn.randrange(1, 10)}1{drawn.randrange(10)}"
        )
        digits += "".join(drawn.choices(string.digits, k=3))
        return next(digits + last for last in "0123456789X" if id_card_valid(digits + last))

    makers = {
        "email": lambda: f"u{drawn.randrange(10**6)}@mail{drawn.randrange(99)}.com",
        "phone": lambda: f"1{drawn.choice('3456789')}{drawn.randrange(10**9):09}",
        "bank_card": card,
        "id_card": identity,
        "ip": lambda: f"203.0.{drawn.randrange(256)}.{drawn.randrange(256)}",
        "key": lambda: "sk-" + "".join(drawn.choices(string.ascii_letters, k=40)),
    }
    frames = ("我的是{}，请记下", "mine is {}, note it", "{}")
    for kind, make in makers.items():
        values = [qa(drawn.choice(frames).format(make()), "") for _ in range(200)]
        _rows, outcomes = run(values, ("mask", {}), folder=tmp_path)
        assert outcomes[0]["found"].get(kind, 0) >= 190, (kind, outcomes[0]["found"])


# --- sample and split --------------------------------------------------------------------------


@given(st.integers(0, 60), st.integers(1, 40), st.integers(0, 5))
def test_a_sample_is_exact_in_order_and_repeatable(tmp_path_factory, rows, wanted, seed) -> None:
    folder = tmp_path_factory.mktemp("work")
    values = [qa(str(number)) for number in range(rows)]
    step = ("sample", {"by": "number", "number": wanted})
    first, outcomes = run(values, step, seed=seed, folder=folder)
    again, _ = run(values, step, seed=seed, folder=folder)
    numbers = [row.number for row in first]
    assert numbers == sorted(set(numbers)) == [row.number for row in again]
    assert len(numbers) == min(rows, wanted)
    assert outcomes[0]["rows_in"] == rows


def test_a_share_and_another_seed(tmp_path) -> None:
    values = [qa(str(number)) for number in range(100)]
    step = ("sample", {"by": "share", "share": 0.25})
    one, _ = run(values, step, seed=1, folder=tmp_path)
    other, _ = run(values, step, seed=2, folder=tmp_path)
    assert len(one) == len(other) == 25
    assert {row.number for row in one} != {row.number for row in other}


@given(st.lists(st.integers(0, 12), max_size=60), st.floats(0.01, 0.9), st.integers(0, 5))
def test_a_split_never_parts_equal_rows(tmp_path_factory, letters, share, seed) -> None:
    folder = tmp_path_factory.mktemp("work")
    values = [qa(str(letter)) for letter in letters]
    rows, _ = run(values, ("split", {"test_share": share}), seed=seed, folder=folder)
    sides = {
        part: {row.value["q"] for row in rows if row.part == part} for part in ("train", "test")
    }
    assert len(rows) == len(values)
    assert not sides["train"] & sides["test"]
    if len(set(letters)) > 1:
        assert sides["train"]
        assert sides["test"]


def test_a_split_has_the_share(tmp_path) -> None:
    values = [qa(str(number)) for number in range(1000)]
    _rows, outcomes = run(values, ("split", {"test_share": 0.2}), folder=tmp_path)
    assert outcomes[0]["parts"] == {"train": 800, "test": 200}


# --- steps as they are written ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "step", "parameter"),
    [
        ([], None, None),
        ("clean", None, None),
        ([{"kind": "cook"}], 1, "kind"),
        ([{"kind": ["clean"]}], 1, "kind"),
        ([{"kind": "clean", "parameters": {"salt": 1}}], 1, "salt"),
        ([{"kind": "clean", "parameters": {"min_chars": -1}}], 1, "min_chars"),
        ([{"kind": "clean", "parameters": {"min_chars": True}}], 1, "min_chars"),
        ([{"kind": "clean", "parameters": {"min_chars": 9, "max_chars": 3}}], 1, "max_chars"),
        ([{"kind": "clean", "parameters": {"pattern": "(a"}}], 1, "pattern"),
        ([{"kind": "clean", "parameters": {"pattern": "a" * 201}}], 1, "pattern"),
        ([{"kind": "clean"}, {"kind": "mask", "parameters": {"kinds": []}}], 2, "kinds"),
        ([{"kind": "deduplicate", "parameters": {"threshold": float("nan")}}], 1, "threshold"),
        ([{"kind": "split"}, {"kind": "clean"}], 1, ""),
        ([{"kind": "clean"}] * 21, None, None),
    ],
)
def test_wrong_steps_are_named(steps, step, parameter) -> None:
    with pytest.raises(DomainError) as refused:
        kinds.steps_checked(steps)
    assert refused.value.data.get("step") == step
    assert refused.value.data.get("parameter") == parameter


def test_a_preview_tells_what_becomes_of_each_row() -> None:
    steps = kinds.steps_checked(
        [{"kind": "clean", "parameters": {"min_chars": 8}}, {"kind": "mask"}, {"kind": "split"}]
    )
    values = [qa("write to a@b.org"), qa("x"), qa("as it was, really")]
    seen = preview(values, steps, mapping=ALPACA, seed=1)
    first, second, third = seen.rows
    assert (first.changed, first.step) == (True, None)
    assert [part.text for part in first.texts[0].after if part.changed] == ["[EMAIL_1]"]
    assert "".join(part.text for part in first.texts[0].before) == "write to a@b.org"
    assert (second.step, second.reason) == (1, "too_short")
    assert (third.changed, third.texts[0].after) == (False, [])
    assert {first.part, third.part} == {"train", "test"}
    assert (seen.changed, seen.lost) == (1, 1)
