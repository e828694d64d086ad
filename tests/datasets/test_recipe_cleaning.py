"""Languages, boilerplate, names, addresses, own rules and parts without leaks."""

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.masking import PATTERNED, measure
from common.errors import DomainError
from datasets.recipes import kinds
from datasets.recipes.boilerplate import is_phrase, lines_drop
from datasets.recipes.languages import Recogniser
from datasets.recipes.masking import Masker
from datasets.recipes.personal import KINDS
from datasets.recipes.pipeline import apply
from datasets.recipes.placeholders import RowNumbers
from datasets.shapes.mapping import Mapping
from tests.datasets.test_recipe_steps import ALPACA, SHAREGPT, qa, run

# --- languages and boilerplate ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("这是一个关于机器学习的问题，请回答。", "zh"),
        ("我哋今日去食飯", "zh"),  # Cantonese is Chinese here
        ("請把這段話翻譯成英文，謝謝您。", "zh"),
        ("How do I cook rice for a large family?", "en"),
        ("Bonjour tout le monde, comment allez-vous ?", "fr"),
        ("こんにちは世界、元気ですか", "ja"),
        ("12345 + 67 = ?", ""),
        ("", ""),
        ("你好，我想退货", "zh"),
        ("我想在 iPhone 上安装 Python，可以吗？", "zh"),
        ("She moved to Beijing (北京) and learnt to cook dumplings.", "en"),
        ("翻译成英文：春天来了，花儿开了。 Spring has come and the flowers are open.", "mixed"),
        ("asdf qwer zxcv hjkl", "unsure"),
        ("SELECT * FROM users WHERE id = 1", "unsure"),
        ("Ég fór á fætur klukkan sjö og fékk mér hafragraut í morgunmat.", "other"),
        ("\ud800 lone surrogates are no reason to stop reading this text", "en"),
    ],
)
def test_languages(text, wanted) -> None:
    assert Recogniser().language(text) == wanted


def test_rows_of_other_languages_go(tmp_path) -> None:
    values = [
        qa("请介绍一下北京的历史。", "北京是中国的首都，历史悠久。"),
        qa("What is the capital of France?", "Paris is the capital of France."),
        qa("Quelle est la capitale de la France ?", "Paris est la capitale de la France."),
        qa("1 + 1 = ?", "2"),
    ]
    rows, outcomes = run(values, ("clean", {"languages": ["zh", "en"]}), folder=tmp_path)
    assert [row.number for row in rows] == [0, 1, 3]  # what has no letters stays
    assert outcomes[0]["dropped"] == {"language": 1}


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("Home | About | Contact", True),
        ("We use cookies to improve your experience.", True),
        ("© 2021 Example Ltd. All rights reserved.", True),
        ("  - Read more »", True),
        ("首页 > 新闻 > 国内", True),
        ("版权所有 © 2020", True),
        ("京ICP备12345678号", True),
        ("下一篇：今天的新闻", True),
        ("I like home cooking.", False),
        ("A cookie is a small text that a site keeps.", False),
        ("我们使用苹果做菜。", False),
        ("这是正文。", False),
        ("", False),
    ],
)
def test_phrases(line, wanted) -> None:
    assert is_phrase(line) == wanted


def test_boilerplate_goes_from_texts_of_several_lines(tmp_path) -> None:
    page = "Skip to content\nThe fox jumps.\n```\nRead more\n```\nAccept all cookies\n阅读全文"
    values = [qa("Accept all cookies", page)]
    rows, outcomes = run(values, ("clean", {"boilerplate": True}), folder=tmp_path)
    assert rows[0].value == qa("Accept all cookies", "The fox jumps.\n```\nRead more\n```")
    assert outcomes[0]["changed"] == 1


def test_lines_that_repeat_over_rows(tmp_path) -> None:
    """One line in many rows goes; the only line of a text, short ones and code stay."""
    head = "Example Daily, all the news"
    values = [qa("Translate it.", f"{head}\nstory {n}\nx = 1\n```\n{head}\n```") for n in range(9)]
    values += [qa("Translate it.", f"{head}\n{head}"), qa("other", "alone\nand twice")]
    rows, outcomes = run(values, ("clean", {"repeated_lines": 5}), folder=tmp_path)
    assert rows[3].value == qa("Translate it.", f"story 3\nx = 1\n```\n{head}\n```")
    assert rows[9].value == qa("Translate it.", "")
    assert rows[10].value == values[10]
    assert outcomes[0]["changed"] == 10
    rows, outcomes = run(values, ("clean", {"repeated_lines": 11}), folder=tmp_path)
    assert outcomes[0]["changed"] == 0  # a line counts once a row, and it stands in ten


@given(st.text(alphabet="ab\n`~", max_size=60))
def test_dropping_no_line_changes_nothing(text) -> None:
    assert lines_drop(text, lambda _line: False) == text


# --- names, addresses and own rules -------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("我叫张伟今年30岁，", "我叫[NAME_1]今年30岁，"),
        ("我的名字是欧阳娜娜。欧阳娜娜说", "我的名字是[NAME_1]。[NAME_1]说"),
        ("联系人：王小明 电话", "联系人：[NAME_1] 电话"),
        ("请联系王经理或李建国教授", "请联系[NAME_1]经理或[NAME_2]教授"),
        ("于是王先生来了", "于是[NAME_1]先生来了"),
        ("我是高中生，也是老师", "我是高中生，也是老师"),
        ("Mr. Smith and Dr Jane Doe", "Mr. [NAME_1] and Dr [NAME_2]"),
        ("John Smith came. John Smith left.", "[NAME_1] came. [NAME_1] left."),
        ("Dear Sir, Dear Alice,", "Dear Sir, Dear [NAME_1],"),
        ("住在北京市朝阳区建国路88号院3号楼502室。", "住在[ADDRESS_1]。"),
        ("北京市朝阳区很大", "北京市朝阳区很大"),
        ("I live at 12 Baker Street, London.", "I live at [ADDRESS_1]."),
        ("at 1600 Pennsylvania Ave NW, Washington, DC 20500 now", "at [ADDRESS_1] now"),
        ("P.O. Box 1234", "[ADDRESS_1]"),
        ("the 3 Main roads", "the 3 Main roads"),
    ],
)
def test_names_and_addresses(text, wanted) -> None:
    assert Masker(list(KINDS), RowNumbers({"q": text})).masked(text) == wanted


@pytest.mark.parametrize(
    "piece", ["市", "路1号", "王", "我叫", "姓名：", "12 Main ", "Mr. Aa ", "Aa ", "A1", "1 Aa "]
)
def test_rules_stay_linear(piece) -> None:
    """A hundred thousand signs of it: what looks further for each one would take hours."""
    text = piece * (100_000 // len(piece))
    assert Masker(["name", "address"], RowNumbers({"q": ""})).masked(text)


def test_a_name_of_one_text_is_known_in_the_next(tmp_path) -> None:
    values = [qa("我叫李小龙，请帮忙", "好的，李小龙。李小龙您好")]
    rows, outcomes = run(values, ("mask", {"kinds": ["name"]}), folder=tmp_path)
    assert rows[0].value == qa("我叫[NAME_1]，请帮忙", "好的，[NAME_1]。[NAME_1]您好")
    assert outcomes[0]["found"] == {"name": 3}


def test_own_rules(tmp_path) -> None:
    rules = "ORDER = PO-[0-9]{6}\nSTAFF: E[0-9]+\n"
    values = [qa("PO-123456 of E77, PO-123456", "[ORDER_4] and x@y.org: PO-999999")]
    rows, outcomes = run(values, ("mask", {"kinds": ["email"], "rules": rules}), folder=tmp_path)
    assert rows[0].value == qa(
        "[ORDER_5] of [STAFF_1], [ORDER_5]", "[ORDER_4] and [EMAIL_1]: [ORDER_6]"
    )
    assert outcomes[0]["found"] == {"ORDER": 3, "STAFF": 1, "email": 1}
    only, _ = run(values, ("mask", {"kinds": [], "rules": "DIGIT = [0-9]"}), folder=tmp_path)
    assert only[0].value["a"].startswith("[ORDER_4] and x@y")  # placeholders stay
    with pytest.raises(DomainError) as refused:
        slow = {"kinds": [], "rules": "SLOW = (a|aa)+$"}
        run([qa("a" * 60 + "!")], ("mask", slow), folder=tmp_path)
    assert refused.value.code == "pattern_slow"


@pytest.mark.parametrize(
    "rules", ["x", "a = b", "AB = (", "AB = x\nAB = y", "A_RULE = " + "a" * 201]
)
def test_rules_that_cannot_be_so(rules) -> None:
    with pytest.raises(DomainError) as refused:
        kinds.steps_checked([{"kind": "mask", "parameters": {"rules": rules}}])
    assert refused.value.data["parameter"] == "rules"


def test_planted_personal_data_by_kind() -> None:
    """The set of the benchmark: patterned kinds at least 0.95, and few false ones."""
    lines, false, _examples = measure(60, seed=7)
    low = {key: line.recall for key, line in lines.items() if line.recall < 0.95}
    assert not [key for key in low if key[0] in PATTERNED]
    assert lines["name", "zh"].recall > 0.75
    assert lines["name", "en"].recall > 0.9
    assert min(lines["address", language].recall for language in ("zh", "en")) > 0.9
    assert sum(false.values()) <= 5


# --- parts --------------------------------------------------------------------------------------


def _parts(rows) -> dict[str, list]:
    found: dict[str, list] = {}
    for row in rows:
        found.setdefault(row.part, []).append(row.value)
    return found


def test_three_parts_have_their_shares(tmp_path) -> None:
    values = [qa(str(number)) for number in range(1000)]
    given = {"test_share": 0.1, "validation_share": 0.2}
    _rows, outcomes = run(values, ("split", given), folder=tmp_path)
    assert outcomes[0]["parts"] == {"train": 700, "validation": 200, "test": 100}
    only = {"test_share": 0, "validation_share": 0.2}
    _rows, outcomes = run(values, ("split", only), folder=tmp_path)
    assert outcomes[0]["parts"] == {"train": 800, "validation": 200}


@given(
    st.lists(st.integers(0, 15), min_size=3, max_size=60),
    st.floats(0.01, 0.4),
    st.floats(0.01, 0.4),
    st.integers(0, 3),
)
def test_the_same_question_never_stands_in_two_parts(
    tmp_path_factory, letters, tested, validated, seed
) -> None:
    """Questions that differ in case, signs and width, each with another answer."""
    folder = tmp_path_factory.mktemp("work")
    drawn = random.Random(seed)
    forms = ("What is {}?", "what is {}", "WHAT  is　{}？ ")
    values = [
        qa(drawn.choice(forms).format(letter), str(place)) for place, letter in enumerate(letters)
    ]
    step = ("split", {"test_share": tested, "validation_share": validated, "by": "question"})
    rows, _ = run(values, step, seed=seed, folder=folder)
    parts = _parts(rows)
    asked = {
        part: {re.sub(r"\D", "", value["q"]) for value in found} for part, found in parts.items()
    }
    assert sum(map(len, parts.values())) == len(values)
    assert sum(map(len, asked.values())) == len(set(letters))
    if len(set(letters)) >= 3:
        assert set(parts) == {"train", "validation", "test"}


def test_conversations_that_begin_alike_stay_together(tmp_path) -> None:
    values = [
        {"conversations": [
            {"from": "human", "value": f"Question {place % 5}"},
            {"from": "gpt", "value": f"answer {place}"},
            {"from": "human", "value": "And then?"},
            {"from": "gpt", "value": f"end {place}"},
        ]}
        for place in range(50)
    ]  # fmt: skip
    step = ("split", {"test_share": 0.4, "by": "question"})
    rows, _ = run(values, step, mapping=SHAREGPT, folder=tmp_path)
    parts = {
        part: {value["conversations"][0]["value"] for value in found}
        for part, found in _parts(rows).items()
    }
    assert {part: len(found) for part, found in parts.items()} == {"train": 3, "test": 2}


def test_groups_by_a_column(tmp_path) -> None:
    values = [{**qa(str(place)), "customer": place % 7} for place in range(70)]
    step = ("split", {"test_share": 0.3, "by": "column", "column": "customer"})
    rows, _ = run(values, step, folder=tmp_path)
    parts = _parts(rows)
    sides = [{value["customer"] for value in parts[part]} for part in ("train", "test")]
    assert not sides[0] & sides[1]
    with pytest.raises(DomainError) as refused:
        run(values, ("split", {"by": "column", "column": "who"}), folder=tmp_path)
    assert refused.value.code == "no_column"


@pytest.mark.parametrize(
    ("given", "parameter"),
    [
        ({"test_share": 0}, "test_share"),
        ({"test_share": 0.6, "validation_share": 0.5}, "validation_share"),
        ({"by": "column"}, "column"),
    ],
)
def test_splits_that_cannot_be(given, parameter) -> None:
    with pytest.raises(DomainError) as refused:
        kinds.steps_checked([{"kind": "split", "parameters": given}])
    assert refused.value.data["parameter"] == parameter


def test_steps_stored_before_still_run(tmp_path) -> None:
    """What a recipe did not know when it was stored counts as its default."""
    old = [
        {"kind": "clean", "parameters": {
            "encoding": True, "unicode": True, "space": True, "markup": False, "min_chars": None,
            "max_chars": None, "max_repetition": None, "max_symbols": None, "pattern": "",
            "pattern_drops": "matching",
        }},
        {"kind": "mask", "parameters": {"kinds": ["email"]}},
        {"kind": "split", "parameters": {"test_share": 0.5}},
    ]  # fmt: skip
    values = [qa("Mr. Smith a@b.org"), qa("另一个")]
    mapping = Mapping.of("alpaca", ALPACA.columns)
    rows, _ = apply(values, old, mapping=mapping, seed=1, folder=tmp_path)
    kept = list(rows)
    assert kept[0].value["q"] == "Mr. Smith [EMAIL_1]"
    assert {row.part for row in kept} == {"train", "test"}
