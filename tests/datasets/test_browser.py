"""Looking through rows: filters, order, search, and rows as the tokens that the model sees."""

import random
import re
from pathlib import Path

import numpy as np
import pytest
from django.http import QueryDict
from django.urls import reverse
from rest_framework.test import APIClient

from datasets import services
from datasets.choices import choice_of
from datasets.models import DatasetVersion
from datasets.previews import rows_page, turns_shown
from datasets.shapes.examples import example_of
from datasets.shapes.families import FAMILIES
from datasets.shapes.mapping import Mapping
from datasets.shapes.tokens import TokenCounter
from datasets.shapes.turns import Example, Turn
from datasets.statistics import choosing
from datasets.statistics.choosing import FLAGS, Choice, Known, Wanted, chosen, facts_of
from datasets.statistics.facts import DROPPED, FACTS, ORDER, RECORD
from datasets.statistics.languages import LANGUAGES
from tests.datasets import samples
from tests.datasets.conftest import jsonl
from tests.datasets.test_statistics import ROWS
from tests.datasets.test_tokens import tokenizer_dir

__all__ = ["tokenizer_dir"]
CHOICES = [
    {},
    {"order": "short"},
    {"order": "long"},
    {"flag": "dropped"},
    {"flag": "dropped", "order": "long"},
    {"flag": "cut", "cutoff": 50},
    {"flag": "personal", "language": "zh", "order": "short"},
    {"shortest": 20, "longest": 60, "order": "long"},
    {"language": "en", "flag": "near"},
    {"longest": 0},
]


@pytest.fixture(scope="module")
def facts(tmp_path_factory) -> tuple[Path, np.ndarray]:
    """Facts of 1,000 rows as chance has it."""
    folder = tmp_path_factory.mktemp("facts")
    draw = np.random.default_rng(7)
    table = np.zeros(1000, dtype=RECORD)
    for name, top in (("length", 100), ("turns", 5), ("language", len(LANGUAGES)), ("flags", 64)):
        table[name] = draw.integers(0, top, 1000)
    table.tofile(folder / FACTS)
    dropped = table["flags"] & DROPPED > 0
    np.lexsort((table["length"], dropped)).astype("<u4").tofile(folder / ORDER)
    return folder, table


def _wanted(table: np.ndarray, choice: Choice) -> list[int]:
    """The same by looking at one row after the other."""
    found = []
    for number, (length, _turns, language, flags) in enumerate(table.tolist()):
        usable = not flags & DROPPED
        lengths = usable and (choice.shortest or 0) <= length <= (choice.longest or 0)
        if choice.shortest is not None or choice.longest is not None:
            top = choice.longest if choice.longest is not None else 10**9
            lengths = usable and (choice.shortest or 0) <= length <= top
            if not lengths:
                continue
        if choice.flag == "cut" and not (usable and length > choice.cutoff):
            continue
        if choice.flag in FLAGS and not flags & FLAGS[choice.flag]:
            continue
        if choice.language and LANGUAGES[language] != choice.language:
            continue
        found.append(number)
    return found


@pytest.mark.parametrize("fields", CHOICES)
@pytest.mark.parametrize("at_once", [7, 100_000])
def test_filters_and_order(facts, monkeypatch, fields, at_once: int) -> None:
    """Pages put together are exactly the rows wanted, each once, whatever the part at a time."""
    folder, table = facts
    monkeypatch.setattr(choosing, "AT_ONCE", at_once)
    choice = Choice(**fields)
    wanted = _wanted(table, choice)
    usable = int((table["flags"] & DROPPED == 0).sum())
    together: list[int] = []
    for start in range(0, 1000, 90):
        known = Known(1000, usable, folder, folder)
        numbers, total = chosen(known, choice, start=start, count=90)
        assert total == len(wanted)
        together += numbers
    assert sorted(together) == wanted
    if not choice.order:
        assert together == wanted
        return
    kept = [number for number in together if not table["flags"][number] & DROPPED]
    assert kept == together[: len(kept)]  # dropped ones come last
    lengths = [int(table["length"][number]) for number in kept]
    assert lengths == sorted(lengths, reverse=choice.order == "long")


@pytest.mark.parametrize("fields", CHOICES)
@pytest.mark.parametrize("window", [1, 7, 100_000])
@pytest.mark.parametrize("start", [0, 13, 996])
def test_a_search_asks_for_the_same_rows_in_windows(
    facts, monkeypatch, fields, window: int, start: int
) -> None:
    """Also at the borders of windows, and when rows are passed over."""
    folder, table = facts
    monkeypatch.setattr(choosing, "WINDOW", window)
    choice, among = Choice(**fields), [*range(5, 40), 700, 999]
    known = Known(1000, 0, folder, folder)
    wanted = _wanted(table, choice)
    for few, rows in ((None, wanted), (among, sorted({*among} & {*wanted}))):
        for step in (1, 3):
            told = Wanted(known, choice, few)
            looked = range(start, 1000, step)
            assert [one for one in looked if told(one)] == [one for one in rows if one in looked]


def test_facts_of_single_rows(facts) -> None:
    folder, table = facts
    found = facts_of(folder, [0, 999, 5])
    assert {number: one.length for number, one in found.items()} == {
        number: int(table["length"][number]) for number in (0, 999, 5)
    }
    assert facts_of(folder / "none", [0]) == {}


def test_what_addresses_say() -> None:
    def said(address: str) -> Choice:
        return choice_of(QueryDict(address), ())

    assert said("flag=x&language=zz&order=&shortest=-1") == Choice()
    asked = "flag=cut&cutoff=9&shortest=3&longest=8&order=long"
    assert said(asked) == Choice("cut", "", 3, 8, "long", 9)
    assert said("shortest=999999999999999999999999&longest=٣") == Choice()


@pytest.fixture
def version(db, make) -> DatasetVersion:
    """A counted version with all sorts of rows."""
    rows = [*ROWS, *({"instruction": "q" * n, "output": "needle" if n % 2 else "a"}
                     for n in range(1, 60))]  # fmt: skip
    version = make(rows).latest
    assert services.version_statistics(version.pk)
    version.refresh_from_db()
    return version


def _numbers(version: DatasetVersion, **fields) -> list[int]:
    words = fields.pop("words", "")
    page = rows_page(version, start=0, count=100, words=words, choice=Choice(**fields))
    return [row.number for row in page.rows]


def test_rows_by_choice(version) -> None:
    assert _numbers(version, flag="dropped") == [6, 7]
    assert _numbers(version, flag="duplicate")[:1] == [2]
    assert _numbers(version, flag="warned") == [5]
    assert _numbers(version, flag="personal") == [5]
    assert _numbers(version, language="zh") == [4]
    assert _numbers(version, order="long")[0] in {1, 2, 3}
    assert _numbers(version, order="long")[-2:] in ([6, 7], [7, 6])
    assert _numbers(version, words="needle", longest=20) == [9, 11, 13, 15, 17, 19, 21]
    assert len(_numbers(version, words="needle")) == 30
    page = rows_page(version, start=60, count=10, choice=Choice(order="short"))
    assert (page.total, page.matching, page.next_start) == (67, 67, None)
    page = rows_page(version, start=5, count=10, choice=Choice(shortest=20, longest=40))
    assert (page.total, page.start, page.next_start) == (67, 5, 15)
    DatasetVersion.objects.update(statistics=None)
    version.refresh_from_db()
    assert len(_numbers(version, flag="dropped")) == 67  # not counted: no choice yet


def test_the_page_and_the_api_agree(version, client, people) -> None:
    client.force_login(people.viewer)
    api = APIClient()
    api.force_authenticate(people.viewer)
    url = reverse("datasets:version_rows", args=[version.dataset_id, version.pk])
    path = f"/api/v1/datasets/{version.dataset_id}/versions/{version.pk}/rows/"
    random.seed(3)
    for fields in ({"flag": "dropped"}, {"order": "long", "from": "11"}, {"language": "en"}):
        answer = api.get(path, {**fields, "page_size": "10"}).json()
        page = client.get(url, fields)
        assert [row["number"] for row in answer["results"]] == [
            row.number for row in page.context["rows"].rows
        ]
        assert answer["matching"] == page.context["rows"].matching <= answer["count"] == 67
    row = api.get(path, {"flag": "personal"}).json()["results"][0]
    assert row["facts"] == {
        "length": 31, "estimated": False, "turns": 1, "language": "unsure", "found": ["personal"],
    }  # fmt: skip
    assert row["tokens"] is None
    page = client.get(url, {"flag": "warned", "longest": "1"}).content.decode()
    assert "Loosen a filter" in page
    jump = client.get(url, {"row": "40", "flag": "dropped"})
    assert jump.context["rows"].rows[0].number == 40
    DatasetVersion.objects.update(statistics=None)
    assert "language and length come" in client.get(url, {"flag": "dropped"}).content.decode()


def test_fields_above_the_rows_keep_the_focus(version, client, people) -> None:
    """Which htmx gives back to the new one with the same id."""
    client.force_login(people.viewer)
    page = client.get(reverse("datasets:version_rows", args=[version.dataset_id, version.pk]))
    form = page.content.decode().partition('<form class="rows-form"')[2].partition("</form>")[0]
    fields = re.findall(r'<(?:select|input(?! type="hidden"))[^>]*>', form)
    assert len(fields) > 7
    assert all(' id="rows-' in field for field in fields)


def test_rows_of_documents_say_where_they_are_from(make, client, people) -> None:
    """The page or the section of a document; of other files the line."""
    client.force_login(people.viewer)
    files = {"a.pdf": samples.pdf(["One.", "Two."]), "b.txt": b"Three."}
    for data, name, places in (
        (samples.zipped(files), "a.zip", ["a.pdf, page 1", "a.pdf, page 2", "b.txt, section 1"]),
        (jsonl([{"text": "Four.", "document": "a.pdf"}]), "rows.jsonl", ["line 1"]),
    ):
        dataset = make(data, name=name, filename=name)
        page = client.get(reverse("datasets:dataset_detail", args=[dataset.pk])).content.decode()
        for place in places:
            assert f">{place}" in page


def test_rows_as_tokens(version, client, people, tokenizer_dir, home) -> None:
    """What is learnt is marked, on the page and over the API; without a tokenizer nothing is."""
    url = reverse("datasets:version_rows", args=[version.dataset_id, version.pk])
    path = f"/api/v1/datasets/{version.dataset_id}/versions/{version.pk}/rows/?tokens=true"
    client.force_login(people.viewer)
    without = client.get(url, {"view": "tokens"})
    assert without.context["rows"].rows[0].seen is None
    assert "There is no demo model here" in without.content.decode()
    (home / "models" / "demo").symlink_to(tokenizer_dir)
    api = APIClient()
    api.force_authenticate(people.viewer)
    row = api.get(path).json()["results"][3]
    said = "".join(piece["text"] for piece in row["tokens"])
    learnt = "".join(piece["text"] for piece in row["tokens"] if piece["learnt"])
    assert said.startswith("<|im_start|>user\n我上周")
    assert learnt == "可以退。<|im_end|>\n"
    assert {piece["tokens"] for piece in row["tokens"] if piece["text"] in "可以退"} == {3}
    page = client.get(url, {"view": "tokens"}).content.decode()
    assert '<span class="learn" title="3 tokens">可</span>' in page
    assert "of " in page and "tokens carry loss" in page


@pytest.mark.parametrize("template", sorted(FAMILIES))
def test_tokens_seen_are_those_counted(tokenizer_dir, template: str) -> None:
    """Stretches hold every sign once, and as many tokens as the check counts."""
    counter = TokenCounter(tokenizer_dir, FAMILIES[template])
    turns = [Turn("user", "你好 {} 😀"), Turn("assistant", "a\nb"), Turn("user", "c")]
    example = Example([*turns, Turn("assistant", "best")], system="be kind")
    said = counter.said(example)
    for text, _learnt in said:
        assert "".join(piece for piece, _tokens in counter.pieces(text)) == text
    tokens = sum(n for text, _learnt in said for _piece, n in counter.pieces(text))
    assert counter.lengths([example]) == [tokens]
    learnt = "".join(text for text, learns in said if learns)
    assert "a\nb" in learnt and "best" in learnt and "你好" not in learnt
    judged = Example(example.turns, kto_tag=True)
    learnt = "".join(text for text, learns in counter.said(judged) if learns)
    assert "best" in learnt and "a\nb" not in learnt
    pair = Example([turns[0]], chosen=Turn("assistant", "yes"), rejected=Turn("assistant", "no"))
    learnt = "".join(text for text, learns in counter.said(pair) if learns)
    assert "yes" in learnt and "no" in learnt


CALL = '{"name": "f", "arguments": {}}'
SAID = [
    {"from": "system", "value": "sys"},
    {"from": "human", "value": "q1"},
    {"from": "function_call", "value": CALL},
    {"from": "observation", "value": "o1"},
    {"from": "gpt", "value": "a1"},
]
ANSWERS = {"chosen": {"from": "gpt", "value": "good"}, "rejected": {"from": "gpt", "value": "bad"}}
COLUMNS = {"prompt": "q", "response": "a", "history": "h", "system": "s"}
PARTS = {"q": "q2", "a": "a2", "h": [["q1", "a1"]], "s": "sys"}
PAIR = {"chosen": "chosen", "rejected": "rejected"}


@pytest.mark.parametrize(
    ("shape", "columns", "value", "learnt"),
    [
        ("text", {"prompt": "q"}, PARTS, ["q2"]),
        ("alpaca", COLUMNS, PARTS, ["a1", "a2"]),
        ("sharegpt", {"messages": "m"}, {"m": SAID}, [CALL, "a1"]),
        (
            "openai",
            {"messages": "m"},
            {"m": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]},
            ["a"],
        ),
        (
            "preference",
            {"prompt": "q", "history": "h", **PAIR},
            {**PARTS, "chosen": "good", "rejected": "bad"},
            ["good", "bad"],
        ),
        (
            "preference",
            {"messages": "m", **PAIR},
            {"m": [*SAID, {"from": "human", "value": "q2"}], **ANSWERS},
            ["good", "bad"],
        ),
        ("kto", {**COLUMNS, "kto_tag": "k"}, {**PARTS, "k": True}, ["a2"]),
        ("kto", {"messages": "m", "kto_tag": "k"}, {"m": SAID, "k": False}, ["a1"]),
    ],
)
def test_both_views_mark_what_is_learnt(tokenizer_dir, shape, columns, value, learnt) -> None:
    """The conversation and the tokens, with a template that adds no words."""
    example = example_of(value, Mapping.of(shape, columns))
    said = TokenCounter(tokenizer_dir, FAMILIES["empty"]).said(example)
    said = [(text.removesuffix("<|endoftext|>"), learns) for text, learns in said]
    assert [text for text, learns in said if learns] == learnt
    turns = turns_shown(example)
    assert [turn.text for turn in turns if turn.learnt] == learnt
    assert [(turn.text, turn.learnt) for turn in turns] == said
