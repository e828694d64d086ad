"""Documents in pieces, and variants of rows."""

import random
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import DomainError
from datasets.recipes import kinds
from datasets.recipes.augment import CHANGES, varied
from datasets.recipes.chunk import Size, pieces, sections
from datasets.recipes.likeness import similarity
from datasets.recipes.pipeline import apply, preview
from datasets.recipes.synonyms import SYNONYMS
from tests.datasets.test_recipe_steps import ALL, SHAREGPT, TEXT, qa, run

GUIDE = """Before all.

# Guide

Intro of the guide. It has two sentences.

## Install

```sh
# no heading
make setup
```

Then wait.

## Use

Use it.

# 附录

第一章 数据

数据很多。数据很好！
"""


def cut(text: str, by: str, most: int, overlap: int = 0) -> list[str]:
    return [piece for _section, piece in pieces(text, by, Size(most, overlap, len))]


# --- pieces -------------------------------------------------------------------------------------


def test_sections_know_the_headings_above_them() -> None:
    found = {name: body.strip().splitlines()[-1] for name, body in sections(GUIDE)}
    assert found == {
        "": "Before all.",
        "Guide": "Intro of the guide. It has two sentences.",
        "Guide › Install": "Then wait.",
        "Guide › Use": "Use it.",
        "附录": "# 附录",
        "第一章 数据": "数据很多。数据很好！",
    }


def test_pieces_end_where_they_should() -> None:
    text = "One two. Three four.\n\nFive six. Seven!\n\nEight."
    assert cut(text, "paragraphs", 30) == ["One two. Three four.", "Five six. Seven!\n\nEight."]
    assert cut(text, "sentences", 12)[:2] == ["One two.", "Three four."]
    assert cut("他来了。她走了！真的吗？好。", "sentences", 8) == [
        "他来了。她走了！",
        "真的吗？好。",
    ]
    assert cut("a" * 100, "sentences", 30) == ["a" * 30] * 3 + ["a" * 10]
    assert cut("word " * 20, "paragraphs", 32)[0] == ("word " * 6).strip()


def test_an_overlap_is_whole_sentences_where_they_fit() -> None:
    text = "First one. Second one. Third one. Fourth one."
    assert cut(text, "sentences", 24, 12) == [
        "First one. Second one.",
        "Second one. Third one.",
        "Third one. Fourth one.",
    ]
    assert cut("abcdefghij" * 4, "sentences", 20, 5)[1] == "abcdefghijabcdefghij"


_TEXTS = st.text(alphabet="ab. \n#中。！`第一章", max_size=200)


@given(_TEXTS, st.sampled_from(["headings", "paragraphs", "sentences"]), st.integers(20, 60))
def test_no_letter_is_lost_and_no_piece_too_long(text, by, most) -> None:
    found = cut(text, by, most)
    assert all(0 < len(piece) <= most for piece in found)
    assert re.sub(r"\s", "", "".join(found)) == re.sub(r"\s", "", text)


@given(_TEXTS, st.integers(20, 60), st.integers(0, 10))
def test_pieces_with_an_overlap_are_never_too_long(text, most, overlap) -> None:
    found = cut(text, "sentences", most, overlap)
    assert all(len(piece) <= most for piece in found)
    plain = re.sub(r"\s", "", text)
    assert all(re.sub(r"\s", "", piece) in plain for piece in found)


def test_long_texts_without_ends_are_cut_in_time() -> None:
    assert len(cut("a" * 2_000_000, "headings", 1000)) == 2000
    assert len(cut("# a\n" * 100_000, "headings", 1000)) == 100_000


def test_documents_become_pieces(tmp_path) -> None:
    values = [{"text": GUIDE, "file": "g.md"}, {"text": "short"}, {"text": "  "}, {"file": "x"}]
    step = ("chunk", {"size": 100})
    rows, outcomes = run(values, step, mapping=TEXT, folder=tmp_path)
    assert [row.number for row in rows] == [0] * 6 + [1]
    assert {row.value.get("file") for row in rows[:6]} == {"g.md"}
    assert rows[2].value["section"] == "Guide › Install"
    assert rows[2].value["text"].startswith("## Install\n\n```sh\n# no heading")
    assert len({row.key for row in rows}) == 7
    assert (outcomes[0]["changed"], outcomes[0]["dropped"]) == (1, {"empty": 2})
    again, _ = run(values, step, ("deduplicate", {}), ("sample", {"by": "number", "number": 3}),
                   mapping=TEXT, folder=tmp_path)  # fmt: skip
    assert len(again) == 3
    with pytest.raises(DomainError) as refused:
        run([qa("x")], step, folder=tmp_path)
    assert refused.value.code == "no_texts"


def test_pieces_counted_in_tokens(tmp_path, tokenizer_dir) -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tokenizer_dir / "tokenizer.json"))
    steps = kinds.steps_checked(
        [{"kind": "chunk", "parameters": {"by": "sentences", "size": 40, "unit": "tokens"}}]
    )
    text = "The quick brown fox jumps over the dog. 天气很好，我们去公园吧。" * 30
    rows, _ = apply(
        [{"text": text}], steps, mapping=TEXT, seed=1, folder=tmp_path, tokenizer=tokenizer_dir
    )
    found = [len(tokenizer.encode(row.value["text"], add_special_tokens=False)) for row in rows]
    assert max(found) <= 40
    assert len(found) > 5
    with pytest.raises(DomainError) as refused:
        list(apply([{"text": text}], steps, mapping=TEXT, seed=1, folder=tmp_path)[0])
    assert refused.value.code == "no_tokenizer"


@pytest.fixture
def tokenizer_dir(tmp_path) -> Path:
    """A byte-level tokenizer, trained on the spot."""
    from tokenizers import ByteLevelBPETokenizer

    made = ByteLevelBPETokenizer()
    made.train_from_iterator(["the quick brown fox 天气很好"] * 10, vocab_size=400)
    made.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def test_the_preview_shows_pieces() -> None:
    steps = kinds.steps_checked([{"kind": "chunk", "parameters": {"size": 100}}])
    seen = preview([{"text": GUIDE}, {"text": "short"}], steps, mapping=TEXT, seed=1)
    assert [(row.number, row.added) for row in seen.rows] == [
        (1, False), *([(1, True)] * 6), (2, False)
    ]  # fmt: skip
    assert (seen.rows[0].changed, seen.rows[-1].changed) == (True, True)  # it has a section now
    assert (seen.added, seen.lost) == (6, 0)


# --- variants -----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ALL)
def test_variants_follow_their_row_and_name_it(shape, tmp_path) -> None:
    mapping, build = ALL[shape]
    text = "Please explain the important reason for this big problem in simple words."
    rows, outcomes = run(
        [build(text)],
        ("augment", {"kinds": ["noise", "synonyms"], "strength": 0.2, "variants": 2}),
        mapping=mapping,
        folder=tmp_path,
    )
    assert rows[0].value == build(text)
    assert len(rows) + sum(outcomes[0]["dropped"].values()) == 5
    assert len(rows) > 2
    assert {row.value["origin"] for row in rows[1:]} <= {"noise: 1", "synonyms: 1"}
    assert sum(outcomes[0]["found"].values()) == len(rows) - 1
    assert len({row.key for row in rows}) == len(rows)


def test_variants_of_variants_are_told_apart(tmp_path) -> None:
    """Step after step, with one in between that lays rows down on the disk."""
    steps = [("augment", {"least_alike": 0, "strength": 0.3})] * 6
    values = [qa("Please explain the important reason for this problem in simple words.")]
    rows, _ = run(values, *steps, ("deduplicate", {"mode": "exact"}), folder=tmp_path)
    assert len(rows) > 30
    assert len({row.key for row in rows}) == len(rows)


def test_only_what_was_asked_for_is_varied(tmp_path) -> None:
    value = qa("Please explain this big problem to the children quickly.", "A big help for people.")
    step = (
        "augment",
        {"kinds": ["synonyms"], "strength": 0.3, "least_alike": 0.1, "most_alike": 1},
    )
    rows, _ = run([value], step, folder=tmp_path)
    assert (rows[1].value["a"], rows[1].value["q"] != value["q"]) == (value["a"], True)
    step = ("augment", {**step[1], "where": "answers"})
    rows, _ = run([value], step, folder=tmp_path)
    assert (rows[1].value["q"], rows[1].value["a"] != value["a"]) == (value["q"], True)


def test_the_same_seed_makes_the_same_variants(tmp_path) -> None:
    values = [
        qa(f"Describe the weather of the week number {n} in detail, please.") for n in range(9)
    ]
    step = ("augment", {"strength": 0.2})
    one, _ = run(values, step, seed=1, folder=tmp_path)
    same, _ = run(values, step, seed=1, folder=tmp_path)
    other, _ = run(values, step, seed=2, folder=tmp_path)
    assert [row.value for row in one] == [row.value for row in same]
    assert [row.value for row in one] != [row.value for row in other]


@pytest.mark.parametrize("where", ["questions", "answers"])
def test_texts_that_stay_make_no_variant_too_close_or_too_far(where, tmp_path) -> None:
    varied_text = "Please describe the weather of the week in detail."

    def made(other: str) -> tuple[list[str], dict]:
        given = [qa(varied_text, other) if where == "questions" else qa(other, varied_text)] * 9
        rows, outcomes = run(given, ("augment", {"where": where}), folder=tmp_path)
        key = "q" if where == "questions" else "a"
        return [row.value[key] for row in rows], outcomes[0]["dropped"]

    assert made(" ".join(map(str, range(2000)))) == made("Sun.")


def test_too_close_and_too_far(tmp_path) -> None:
    values = [qa("12345", "678"), qa("Please describe everything about elephants", "x")]
    rows, outcomes = run(values, ("augment", {"strength": 0.3}), folder=tmp_path)
    assert outcomes[0]["dropped"]["too_close"] >= 1  # numbers are left alone
    strict = {"strength": 0.3, "least_alike": 0.97, "most_alike": 0.98}
    rows, outcomes = run(values, ("augment", strict), folder=tmp_path)
    assert [row.number for row in rows] == [0, 1]
    assert outcomes[0]["dropped"] == {"too_close": 1, "too_far": 1}


@pytest.mark.parametrize("kind", CHANGES)
@given(seed=st.integers(0, 50))
def test_code_numbers_and_placeholders_stay(kind, seed) -> None:
    kept = ["```py\nbig = quickly\n```", "`important`", "https://example.org/big/help", "[NAME_1]",
            "3.14159", "{question}"]  # fmt: skip
    text = " the big problem ".join(kept)
    found = varied(text, CHANGES[kind], random.Random(seed), 0.3)
    assert all(piece in found for piece in kept)


def test_words_of_the_list_are_other_words() -> None:
    assert all(words and word not in words for word, words in SYNONYMS.items())
    assert min(len(words) for words in SYNONYMS.values()) == 1
    assert varied("Big 重要", CHANGES["synonyms"], random.Random(1), 0.3) == "Large 关键"


def test_likeness() -> None:
    assert similarity("abcdef", "abcdef") == 1
    assert similarity("abcdef", "uvwxyz") == 0
    assert similarity("", "") == 1


@pytest.mark.parametrize(
    ("step", "parameter"),
    [
        ({"kind": "chunk", "parameters": {"size": 100, "overlap": 51}}, "overlap"),
        ({"kind": "chunk", "parameters": {"size": 3}}, "size"),
        ({"kind": "augment", "parameters": {"kinds": []}}, "kinds"),
        ({"kind": "augment", "parameters": {"least_alike": 0.9, "most_alike": 0.9}}, "most_alike"),
    ],
)
def test_steps_that_cannot_be(step, parameter) -> None:
    with pytest.raises(DomainError) as refused:
        kinds.steps_checked([step])
    assert refused.value.data["parameter"] == parameter


def test_turns_of_conversations_are_varied(tmp_path) -> None:
    talk = [
        {"from": "human", "value": "Please explain the important problem with this big method"},
        {"from": "gpt", "value": "Please explain nothing"},
    ]
    step = (
        "augment",
        {"kinds": ["synonyms"], "strength": 0.3, "least_alike": 0.1, "most_alike": 1},
    )
    rows, _ = run([{"conversations": talk}], step, mapping=SHAREGPT, folder=tmp_path)
    assert rows[1].value["conversations"][1] == talk[1]
    assert rows[1].value["conversations"][0] != talk[0]
