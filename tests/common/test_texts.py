"""Texts that come from outside."""

import uuid

import pytest

from common.texts import id_of, storable, text_of, whole


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("7", 7), ("007", 7), ("999999999", 999_999_999), ("9999999999", None), ("9" * 5000, None),
        ("", None), ("-1", None), ("+1", None), ("1.0", None), ("1_0", None), (" 1", None),
        ("²", None), ("٣", None),
    ],
)  # fmt: skip
def test_whole_numbers_are_short_and_in_plain_digits(text: str, number: int | None) -> None:
    assert whole(text) == number


def test_places_in_files_may_be_longer() -> None:
    assert whole("9" * 18, 18) == 10**18 - 1
    assert whole("9" * 19, 18) is None


@pytest.mark.parametrize(
    ("asked", "text"),
    [("  two words ", "two words"), ("\0", ""), ("a\0b \0", "ab"), ("x" * 300, "x" * 200)],
)
def test_texts_are_short_and_without_what_no_database_keeps(asked: str, text: str) -> None:
    assert text_of({"q": asked}, "q") == text
    assert text_of({}, "q") == ""


def test_half_a_sign_becomes_a_question_mark() -> None:
    assert storable("\ud800a汉\0\n") == "?a汉\n"


def test_a_text_may_be_longer_where_it_is_kept() -> None:
    assert text_of({"remark": "x" * 3000}, "remark", 2000) == "x" * 2000


@pytest.mark.parametrize("text", ["", "12", "zz", "\0", "-" * 36, "None"])
def test_what_is_no_id(text: str) -> None:
    assert id_of(text) is None


def test_an_id() -> None:
    wanted = uuid.uuid4()
    assert id_of(str(wanted)) == wanted
