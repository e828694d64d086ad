"""Stored sentences: the message comes back whole, in the language of whoever reads it."""

import copy
import json
import pickle

import pytest
from django.utils.translation import gettext_lazy, override

from accounts.models import Event, Role
from accounts.services import event_record
from common.phrases import LONGEST, MARK, Phrase, dump, either, gettext, load, ngettext, said

ENGLISH, CHINESE = "en", "zh-hans"
BRACES = "“{name}” is being stopped. Deploy it again."


def made(text: str, **values: object) -> str:
    """The sentence as a worker makes it, whose language is English."""
    with override(ENGLISH):
        return gettext(text) % values if values else gettext(text)


def read(text: object, language: str = CHINESE) -> str:
    """What a reader of that language sees of the stored text."""
    with override(language):
        return load(dump(text))


def test_a_sentence_is_read_in_the_readers_language() -> None:
    sentence = made("Stopped by an operator.")
    assert sentence == "Stopped by an operator."
    assert read(sentence) == "由管理员停止。"
    assert read(sentence, ENGLISH) == sentence


def test_its_maker_sees_it_in_the_makers_language() -> None:
    with override(CHINESE):
        sentence = gettext("Stopped by %(user)s.") % {"user": "ada"}
    assert sentence == "由 ada 停止。"
    assert read(sentence, ENGLISH) == "Stopped by ada."


@pytest.mark.parametrize(
    "typed",
    [
        "100 % sure %s %(user)s %%",
        "{user} {} {{0.__class__}}",
        'say "hi" \\ \\u0041 \\n',
        "a\tb\nc\x07\x1b[31m",
        MARK + '{"id":"Stopped by an operator."}',
        "你好 👋",
        "<b>&amp;</b>",
    ],
)
def test_values_that_people_typed_are_read_as_they_are(typed) -> None:
    sentence = made("Stopped by %(user)s.", user=typed)
    assert read(sentence) == f"由 {typed} 停止。"
    assert read(sentence, ENGLISH) == f"Stopped by {typed}."
    with override(ENGLISH):
        braces = gettext(BRACES).format(name=typed)
    assert read(braces) == f"“{typed}”正在停止，请重新部署。"
    assert read(typed) == typed


def test_a_message_cannot_be_typed() -> None:
    forged = MARK + json.dumps({"id": "{a.__class__}", "values": {"a": ""}, "braces": True})
    assert read(forged) == forged
    assert not isinstance(read(forged), Phrase)
    assert read(read(forged)) == forged


def test_what_databases_refuse_is_left_out() -> None:
    assert read("a\x00b\ud800c") == "ab?c"
    assert read(made("Stopped by %(user)s.", user="a\x00b\ud800c")) == "由 ab?c 停止。"


def test_sentences_inside_sentences() -> None:
    inner = made("the input %(name)s lies outside of the home", name="model")
    outer = made("It could not be started: %(error)s", error=RuntimeError(inner))
    assert outer == "It could not be started: the input model lies outside of the home"
    assert read(outer) == read("无法启动：") + read(inner)
    assert "model" in read(inner) and "home" not in read(inner)


def test_lazy_words_inside_sentences() -> None:
    role = Role.RESEARCHER.label
    sentence = made("%(user)s: from %(old)s to %(new)s", user="ada", old="viewer", new=role)
    assert sentence == "ada: from viewer to researcher"
    assert read(role) != "researcher"
    assert read(sentence).endswith(read(role))
    assert read(gettext_lazy("waiting")) == "等待中"


def test_numbers_choose_the_form() -> None:
    texts = (
        "Its time limit of %(seconds)s second was over.",
        "Its time limit of %(seconds)s seconds was over.",
    )
    with override(ENGLISH):
        one, two = (ngettext(*texts, number) % {"seconds": number} for number in (1, 2))
    assert (one, two) == (texts[0] % {"seconds": 1}, texts[1] % {"seconds": 2})
    assert (read(one, ENGLISH), read(two, ENGLISH)) == (one, two)
    assert "2" in read(two) and "limit" not in read(two)


def test_numbers_stay_numbers() -> None:
    sentence = made("%(share).1f of %(whole)d", share=0.25, whole=4)
    assert read(sentence, ENGLISH) == "0.2 of 4"


def test_values_in_order() -> None:
    with override(ENGLISH):
        sentences = gettext("%s and %s") % ("a", 1), gettext("%s alone") % "a"
        sentences += (gettext("{} and {}").format("a", 1),)
    assert [read(one, ENGLISH) for one in sentences] == ["a and 1", "a alone", "a and 1"]


def test_one_or_another() -> None:
    with override(ENGLISH):
        assert either(["a"]) == "a"
        found = either([gettext_lazy("text"), gettext("a number"), "x"])
    assert found == "text or a number or x"
    assert read(found) == "文本 或 数字 或 x"


def test_it_survives_copies_and_errors() -> None:
    sentence = made("Stopped by %(user)s.", user="ada")
    for again in (
        str(sentence),
        str(ValueError(sentence)),
        copy.deepcopy(sentence),
        pickle.loads(pickle.dumps(sentence)),
        read(sentence),
    ):
        assert read(again) == "由 ada 停止。"
    assert json.loads(json.dumps(sentence)) == sentence
    with override(CHINESE):
        assert said(sentence) == "由 ada 停止。"
        assert said("由") == "由"


def test_a_mistake_in_the_code_is_told_at_once() -> None:
    with pytest.raises(KeyError):
        made("Stopped by %(user)s.", name="ada")


def test_a_translation_that_does_not_fit_is_left_aside(monkeypatch) -> None:
    sentence = made("Stopped by %(user)s.", user="ada")
    stored = dump(sentence)
    monkeypatch.setattr("django.utils.translation.gettext", lambda text: "由 %(who)s 停止")
    assert load(stored) == "Stopped by ada."


@pytest.mark.parametrize(
    "broken",
    ["", "{", "[]", "1", "null", "{}", '{"id": 1}', '{"id": "%(a)s", "values": {}}', "[" * 100_000],
)
def test_rows_that_somebody_edited_by_hand_are_shown_all_the_same(broken) -> None:
    assert isinstance(load(MARK + broken), str)


def test_sizes_are_bounded() -> None:
    assert len(dump("x" * 100_000)) == LONGEST
    one = made("Stopped by %(user)s.", user="x" * 100_000)
    assert len(dump(one)) < 1200
    assert read(one).startswith("由 xxx") and read(one).endswith("… 停止。")
    deep = "x"
    for _again in range(500):
        deep = made("It could not be started: %(error)s", error=deep)
    assert len(dump(deep)) <= LONGEST
    assert read(deep).startswith("无法启动：无法启动：")


def test_only_what_a_message_names_is_stored() -> None:
    sentence = made("Stopped by %(user)s.", user="ada", secret="never")
    assert "never" not in dump(sentence)


@pytest.fixture
def event(people):
    def make(reason: str) -> Event:
        return event_record(
            people.team, project=people.team, actor=None, verb="state", reason=reason
        )

    return make


@pytest.mark.parametrize(
    "reason", ["", "plain and old", "100 % {x} \x07 👋", MARK, MARK + '{"id":"waiting"}']
)
def test_plain_rows_are_read_as_they_were_written(event, reason) -> None:
    row = event(reason)
    with override(CHINESE):
        assert Event.objects.get(pk=row.pk).reason == reason
    assert Event.objects.filter(reason=reason, pk=row.pk).exists()


def test_a_row_from_before_messages_stays_as_it_is(event) -> None:
    from django.db import connection

    row = event("")
    with connection.cursor() as cursor:
        sql = "UPDATE accounts_event SET reason = %s WHERE id = %s"
        cursor.execute(sql, ["Stopped by an operator.", row.pk])
    with override(CHINESE):
        row.refresh_from_db()
    assert row.reason == "Stopped by an operator."


def test_a_loaded_reason_passes_on_to_another_row(event) -> None:
    first = event(made("Stopped by %(user)s.", user="a % {b}"))
    with override(ENGLISH):
        second = event(Event.objects.get(pk=first.pk).reason)
    with override(CHINESE):
        third = event(Event.objects.values_list("reason", flat=True).get(pk=second.pk))
        assert Event.objects.get(pk=third.pk).reason == "由 a % {b} 停止。"
    with override(ENGLISH):
        assert Event.objects.get(pk=third.pk).reason == "Stopped by a % {b}."
        assert Event.objects.filter(reason=first.reason).count() == 3


def test_search_finds_what_the_reader_reads(event) -> None:
    rows = [
        event(made("Stopped by %(user)s.", user='ada "x"')),
        event(made("It could not be started: %(error)s", error=made("Stopped by an operator."))),
        event("typed 100% by hand"),
    ]

    def found(words: str, language: str) -> list[int]:
        with override(language):
            return [rows.index(row) for row in Event.objects.filter(reason__says=words)]

    assert found("stopped by", ENGLISH) == [0, 1]
    assert found('ada "x"', CHINESE) == [0]
    assert found("停止", CHINESE) == [0, 1]
    assert found("无法启动", CHINESE) == [1]
    assert found("停止", ENGLISH) == []
    assert found("100% BY", CHINESE) == [2]
    assert found("0_ b", CHINESE) == []


def test_operators_search_the_trail(client, people, event) -> None:
    event(made("No sign of life for a minute."))
    client.force_login(people.operator)
    for words, language in (("sign of life", ENGLISH), ("没有 活动信号", CHINESE)):
        page = client.get(
            "/admin/accounts/event/", {"q": words}, headers={"accept-language": language}
        )
        assert page.context["cl"].result_count == 1, words
