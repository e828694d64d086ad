"""What every REST endpoint does with the JSON that it gets."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from common.nesting import DEPTH_MAX
from tests.datasets.conftest import make

__all__ = ["make"]


def nested(levels: int) -> str:
    """Objects and lists, one in the other."""
    text = "1"
    for level in range(levels):
        text = f"[{text}]" if level % 2 else f'{{"a":{text}}}'
    return text


@pytest.mark.parametrize("body", ["[" * 2000, '{"a":' * 2000, nested(2000), nested(DEPTH_MAX + 1)])
def test_a_body_of_brackets_is_refused(body: str, client: Client, db) -> None:
    """Also for those who are not known yet."""
    answer = client.post(reverse("api-login"), body, "application/json")
    assert (answer.status_code, answer.json()["code"]) == (400, "too_deep")


def test_what_is_no_json_is_refused_as_ever(client: Client, db) -> None:
    answer = client.post(reverse("api-login"), "[", "application/json")
    assert answer.status_code == 400
    assert "JSON parse error" in answer.json()["detail"]


def test_what_is_nested_less_is_judged_by_what_it_says(client: Client, db) -> None:
    answer = client.post(reverse("api-login"), nested(DEPTH_MAX), "application/json")
    assert (answer.status_code, answer.json().keys()) == (400, {"non_field_errors"})


@pytest.mark.parametrize("text", ["[" * 2000, nested(2000), nested(DEPTH_MAX + 1)])
@pytest.mark.parametrize("as_form", [True, False])
def test_datasets_have_the_same_limit(text: str, as_form: bool, make: Any, people) -> None:
    """They take forms, too, with JSON as texts in them."""
    version = make().latest
    client = Client()
    client.force_login(people.member)
    address = reverse("api-dataset-version-mapping", args=[version.dataset_id, version.pk])
    data = {"tags": text} if as_form else f'{{"tags": {text}}}'
    kind = {} if as_form else {"content_type": "application/json"}
    answer = client.post(address, data, **kind)
    assert (answer.status_code, answer.json()["code"]) == (400, "too_deep")
