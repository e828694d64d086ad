"""Rows filtered by what members decided about them, on the page and over the API."""

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from datasets import services
from datasets.models import DatasetVersion, Revision
from tests.datasets.conftest import GOOD

pytestmark = pytest.mark.django_db
SORTS = {"any": [3, 8, 9, 21], "rated": [3, 21], "changed": [9], "excluded": [8, 21], "x": None}


@pytest.fixture
def version(people, make) -> DatasetVersion:
    """A counted version: row 3 is rated, 8 left out, 9 changed, 21 rated and left out."""
    rows = [{**row, "output": "long " * (n % 10 + 1)} for n, row in enumerate(GOOD)]
    version = make(rows).latest
    assert services.version_statistics(version.pk)
    version.refresh_from_db()
    changed = {"verdict": "changed", "value": {**rows[8], "output": "other"}}
    for row, fields in (
        (21, {"rating": 5, "verdict": "excluded"}),
        (3, {"rating": 2}),
        (8, {"verdict": "excluded"}),
        (9, changed),
        (5, {"rating": 0}),  # nothing is decided
    ):
        services.row_decide(version.pk, row - 1, by=people.member, edition=0, **fields)
    return version


def test_the_page_and_the_api(client, people, version) -> None:
    page = reverse("datasets:version_rows", args=[version.dataset_id, version.pk])
    path = f"/api/v1/datasets/{version.dataset_id}/versions/{version.pk}/rows/"
    api = APIClient()
    for who in ("viewer", "member"):
        client.force_login(getattr(people, who))
        api.force_authenticate(getattr(people, who))
        for sort, wanted in SORTS.items():
            shown = client.get(page, {"decision": sort})
            answer = api.get(path, {"decision": sort, "page_size": 10}).json()
            numbers = [row.number for row in shown.context["rows"].rows]
            assert numbers == [row["number"] for row in answer["results"]]
            assert numbers == (wanted or list(range(1, 11))), sort
            assert answer["matching"] == (len(wanted) if wanted else 30)
    html = client.get(page, {"decision": "rated"}).content.decode()
    assert '<option value="rated" selected>' in html
    assert "1 to 2 of 2" in html
    assert [
        r["number"] for r in api.get(path, {"decision": "any", "from": 3}).json()["results"]
    ] == [9, 21]
    jump = client.get(page, {"decision": "rated", "row": "12"})
    assert jump.context["rows"].rows[0].number == 12


def test_with_other_filters(client, people, version) -> None:
    page = reverse("datasets:version_rows", args=[version.dataset_id, version.pk])
    client.force_login(people.viewer)

    def numbers(**asked: str) -> list[int]:
        rows = client.get(page, {"decision": "any", **asked}).context["rows"]
        assert "q" in asked or rows.matching == len(rows.rows)
        return [row.number for row in rows.rows]

    assert numbers(order="short") == [21, 3, 8, 9]
    assert numbers(order="long") == [9, 8, 3, 21]
    lengths = {row: client.get(page, {"row": str(row)}).context["rows"].rows[0].facts.length
               for row in (3, 9)}  # fmt: skip
    assert numbers(shortest=str(lengths[3] + 1)) == [8, 9]
    assert numbers(q="question 2") == [3, 21]
    assert numbers(q="question 2", longest=str(lengths[3])) == [3, 21]
    assert numbers(flag="dropped") == []
    DatasetVersion.objects.update(statistics=None)
    assert numbers(order="short") == [3, 8, 9, 21]


def test_strangers_see_no_decisions(client, people, version) -> None:
    """A public version is everybody's, what its members decide is not."""
    type(version.dataset).objects.update(is_public=True)
    page = reverse("datasets:version_rows", args=[version.dataset_id, version.pk])
    path = f"/api/v1/datasets/{version.dataset_id}/versions/{version.pk}/rows/?decision=any"
    client.force_login(people.stranger)
    assert 'name="decision"' not in client.get(page).content.decode()
    shown = client.get(page, {"decision": "any"})
    assert shown.context["rows"].rows == []
    assert "Loosen a filter" in shown.content.decode()
    api = APIClient()
    api.force_authenticate(people.stranger)
    assert api.get(path).json()["matching"] == 0
    Revision.objects.all().delete()
    client.force_login(people.member)
    assert 'name="decision"' not in client.get(page).content.decode()
