"""A check in the background speaks English; who reads its report may not."""

import html
import json

import pytest
from django.urls import reverse
from django.utils.translation import override
from rest_framework.test import APIClient

from datasets import services
from datasets.models import DatasetVersion
from tests.datasets.conftest import GOOD

pytestmark = pytest.mark.django_db
ENGLISH, CHINESE = "en", "zh-hans"


@pytest.fixture
def ask(people):
    """What the API answers in a language."""
    api = APIClient()
    api.force_authenticate(people.owner)
    return lambda address, language: api.get(address, headers={"accept-language": language}).json()


def address(version: DatasetVersion) -> str:
    return f"/api/v1/datasets/{version.dataset_id}/versions/{version.pk}/"


@pytest.mark.parametrize(
    ("language", "wanted"),
    [
        (ENGLISH, "Line 900, column 5 is not valid JSON"),
        (CHINESE, "第 900 行第 5 列不是有效的 JSON"),
    ],
)
def test_why_a_version_is_broken(client, people, make, ask, monkeypatch, language, wanted) -> None:
    monkeypatch.setattr("datasets.services.uploads.SMALL", 0)
    rows = b'{"instruction": "q", "output": "a"}\n' * 899 + b'{"a"}\n' * 899  # half of it
    with override(ENGLISH):
        version = make(rows).versions.get()
        services.version_check(version.pk)
    version.refresh_from_db()
    assert version.state == "broken"
    assert ask(address(version), language)["report"]["error"]["message"].startswith(wanted)
    client.force_login(people.owner)
    page = client.get(
        reverse("datasets:dataset_detail", args=[version.dataset_id]),
        headers={"accept-language": language},
    )
    assert wanted in html.unescape(page.content.decode())
    with override(language):
        unfit = services.version_unfit(DatasetVersion.objects.get(), stage="sft")
        assert wanted in unfit


def test_findings_that_are_downloaded(client, people, make) -> None:
    """The file keeps codes and values; the sentence is made for whoever asks."""
    with override(ENGLISH):
        version = make([*GOOD, {"instruction": "q", "input": "", "output": 7}]).versions.get()
    client.force_login(people.owner)
    url = reverse("datasets:version_download", args=[version.dataset_id, version.pk])
    for language, wanted in (
        (ENGLISH, "“output” is a number, not text."),
        (CHINESE, "“output”是数字，而不是文本。"),
    ):
        answer = client.get(url, {"form": "findings"}, headers={"accept-language": language})
        found = [json.loads(line) for line in b"".join(answer).splitlines()]
        assert [(one["line"], one["code"], one["message"]) for one in found] == [
            (31, "wrong_type", wanted)
        ]
    stored = (version.check_directory / "findings.jsonl").read_text()
    assert "number, not text" not in stored


def test_findings_in_the_report(make, ask) -> None:
    with override(ENGLISH):
        version = make([*GOOD, {"instruction": "q", "input": "", "output": 7}]).versions.get()
    found = {
        language: ask(address(version), language)["report"]["findings"][0]["message"]
        for language in (ENGLISH, CHINESE)
    }
    assert found == {
        ENGLISH: "“output” is a number, not text.",
        CHINESE: "“output”是数字，而不是文本。",
    }
