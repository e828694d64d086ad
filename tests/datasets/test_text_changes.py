"""Texts before and after, side by side."""

import pytest
from django.urls import reverse

from datasets.recipes.compared import COMPARED, SHORT, TextChange, changes, compared
from datasets.shapes.mapping import Mapping
from tests.datasets.recipes_run import recipe

__all__ = ["recipe"]
LONG = "".join(f"Sentence number {n} of a long text. " for n in range(200))
TALK = Mapping.of("openai", {"messages": "messages"})


def said(*texts: str) -> dict:
    return {"messages": [{"role": "user", "content": text} for text in texts]}


def joined(stretches: list) -> str:
    return "".join(one.text for one in stretches)


def test_an_excerpt_keeps_what_changed_and_a_little_around_it() -> None:
    after = LONG.replace("number 120 ", "no. 120 ")
    change = TextChange("text", *compared(LONG, after))
    assert (joined(change.before), joined(change.after)) == (LONG, after)
    short = change.excerpt
    assert "number 120 of" in joined(short.before)
    assert "no. 120 of" in joined(short.after)
    assert [one.text for one in short.before if one.changed] == ["number"]
    assert len(joined(short.before)) < SHORT
    for whole, part in ((change.before, short.before), (change.after, short.after)):
        assert sum(len(one.text) + one.left_out for one in part) == len(joined(whole))


def test_of_a_text_without_changes_the_beginning_is_left() -> None:
    (change,) = changes(said(LONG), said(LONG), TALK, TALK)
    assert change.is_long
    assert LONG.startswith(change.excerpt.before[0].text)
    assert change.excerpt.before[1].left_out > 0


def test_many_changes_are_found_sentence_by_sentence() -> None:
    after = LONG.replace("Sentence", "Phrase")
    before, _after = compared(LONG, after)
    assert {one.text for one in before if one.changed} == {"Sentence"}


def test_a_change_far_behind_the_beginning_is_shown() -> None:
    text = "word " * COMPARED
    before, after = compared(text + "old", text + "new")
    assert [one.text for one in before if one.changed] == ["old"]
    assert [one.text for one in after if one.changed] == ["new"]


def test_texts_that_are_new_or_gone_are_shown_as_such() -> None:
    one, two = said("a"), said("a", "b")
    for before, after, side in ((one, two, "after"), (two, one, "before")):
        same, other = changes(before, after, TALK, TALK)
        assert not same.changed
        assert [part.text for part in getattr(other, side) if part.changed] == ["b"]


@pytest.mark.django_db
def test_a_preview_of_long_texts_opens_them_when_asked(client, people, make, recipe) -> None:
    dataset = make([{"text": LONG + "Write to a@b.org."}])
    client.force_login(people.member)
    url = reverse("datasets:recipe_detail", args=[recipe().pk])
    page = client.get(url, {"version": str(dataset.latest.pk)}).content.decode()
    start, whole = page.index('<div class="excerpt">'), page.index('<details class="whole">')
    assert "Sentence number 100 " not in page[start:whole]
    assert "<ins>[EMAIL_1]</ins>" in page[start:whole]
    assert "Sentence number 100 " in page[whole:]
