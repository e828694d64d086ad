"""Rows changed, left out and rated by hand, on pages and over the API; who sees that."""

import json

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from datasets import services
from datasets.models import DatasetVersion, Revision
from tests.datasets.conftest import GOOD, values

pytestmark = pytest.mark.django_db


def test_the_way_through_the_pages(client, people, make) -> None:
    version = make(GOOD).latest
    client.force_login(people.member)
    rows = reverse("datasets:version_rows", args=[version.dataset_id, version.pk])
    decide = reverse("datasets:row_decide", args=[version.dataset_id, version.pk, 12])
    answer = client.post(f"{decide}?from=11", {"edition": "0", "verdict": "excluded"})
    assert answer["Location"] == f"{rows}?from=11#row-12"
    page = client.get(f"{rows}?from=11")
    assert [row.number for row in page.context["rows"].rows] == list(range(11, 21))
    assert "0 changed, 1 left out, 0 rated" in page.content.decode()
    assert "is-out" in page.content.decode()
    part = client.post(  # as a part of the page: the list as it is now
        f"{decide}?from=11", {"edition": "1", "rating": "4"}, headers={"HX-Request": "true"}
    )
    assert "0 changed, 1 left out, 1 rated" in part.content.decode()
    late = client.post(
        f"{decide}?from=11", {"edition": "1", "rating": "5"}, headers={"HX-Request": "true"}
    )
    assert late.status_code == 422
    assert "member has changed row 12 meanwhile" in late.content.decode()
    edit = reverse("datasets:row_edit", args=[version.dataset_id, version.pk, 1])
    form = client.get(edit).context["form"]
    said = [(role, field.label) for role, field in form.said]
    assert said == [("user", "instruction"), ("user", "input"), ("assistant", "output")]
    sent = {"edition": "0", "text-0": "question 0", "text-1": "", "rating": "5", "note": "mine"}
    sent["text-2"] = "a <b>new</b>\r\nanswer"
    assert client.post(edit, sent)["Location"].endswith("?row=1#row-1")
    page = client.get(rows).content.decode()
    assert "a &lt;b&gt;new&lt;/b&gt;\nanswer" in page
    raw = client.get(f"{edit}?raw=1").context["form"]["raw"].value()
    assert json.loads(raw) == {**GOOD[0], "output": "a <b>new</b>\nanswer"}
    assert client.post(f"{edit}?raw=1", {"edition": "1", "raw": "{"}).status_code == 422
    assert client.post(f"{edit}?raw=1", {"edition": "0", "raw": raw}).status_code == 422
    too_far = reverse("datasets:row_edit", args=[version.dataset_id, version.pk, 99])
    assert "There is no row 99" in client.get(too_far).content.decode()
    draft = Revision.objects.get()
    detail = reverse("datasets:revision_detail", args=[draft.pk])
    seen = client.get(detail).content.decode()
    assert "&lt;b&gt;" in seen
    assert "1 changed, 1 left out, 2 rated" in seen
    taken = {"edition": "2", "verdict": "", "draft": str(draft.pk)}
    assert client.post(decide, taken)["Location"] == detail
    save = reverse("datasets:revision_save", args=[draft.pk])
    saved = client.post(save, {"drop": "5"})
    made = DatasetVersion.objects.get(number=2)
    assert saved["Location"] == reverse("datasets:version_rows", args=[made.dataset_id, made.pk])
    assert made.rows == 29  # the one that was rated with 4 is gone
    use = client.get(reverse("datasets:version_use", args=[made.dataset_id, made.pk]))
    assert "edited by hand" in use.content.decode()
    versions = client.get(reverse("datasets:version_list", args=[made.dataset_id]))
    assert versions.content.decode().count("edited by hand") == 2  # in the head, and of its line
    assert "1 row rated under 5 left out" in use.content.decode()
    assert "Saved as" in client.get(detail).content.decode()
    assert client.post(reverse("datasets:revision_discard", args=[draft.pk])).status_code == 302
    assert Revision.objects.filter(pk=draft.pk).exists()


def test_others_do_not_see_drafts(client, people, make) -> None:
    """Also not those of a public dataset, which everybody may read."""
    version = make(GOOD, is_public=True).latest
    services.row_decide(version.pk, 0, by=people.operator, edition=0, rating=2, note="secret")
    draft = Revision.objects.get()
    rows = reverse("datasets:version_rows", args=[version.dataset_id, version.pk])
    path = f"/api/v1/datasets/{version.dataset_id}/versions/{version.pk}/rows/"
    for who, sees in (("stranger", False), ("viewer", True), ("operator", True)):
        client.force_login(getattr(people, who))
        assert ("1 rated" in client.get(rows).content.decode()) is sees
        api = APIClient()
        api.force_authenticate(getattr(people, who))
        assert (api.get(path).json()["results"][0]["decision"] is not None) is sees
        detail = reverse("datasets:revision_detail", args=[draft.pk])
        assert client.get(detail).status_code == (200 if sees else 404)
    made = services.version_remap(
        version.pk, by=people.operator, wish=services.Wish("alpaca", version.columns)
    )
    made.lineage = {"kind": "edits", "source": "data v1", "part": "", "people": [{"name": "owner"}]}
    made.save()
    path = f"/api/v1/datasets/{made.dataset_id}/versions/{made.pk}/"
    assert "people" not in APIClient().get(path).json()["lineage"]


def test_the_api(people, make) -> None:
    version = make(GOOD).latest
    api = APIClient()
    api.force_authenticate(people.member)
    rows = f"/api/v1/datasets/{version.dataset_id}/versions/{version.pk}/rows/"
    value = {**GOOD[4], "output": "new"}
    sent = {"edition": 0, "verdict": "changed", "value": value, "rating": 3}
    answer = api.patch(f"{rows}5/", sent, format="json")
    assert answer.status_code == 200
    assert (answer.json()["edition"], answer.json()["value"]) == (1, value)
    assert api.patch(f"{rows}5/", sent, format="json").status_code == 409
    assert api.patch(f"{rows}5/", {"edition": 1, "verdict": "x"}, format="json").status_code == 400
    assert api.patch(f"{rows}31/", {"edition": 0, "rating": 1}, format="json").status_code == 422
    assert api.get(f"{rows}?from=5").json()["results"][0]["decision"]["value"] == value
    (revision,) = api.get(f"/api/v1/revisions/?version={version.pk}").json()["results"]
    assert revision["counts"] == {"accepted": 0, "changed": 1, "excluded": 0, "rated": 1}
    path = f"/api/v1/revisions/{revision['id']}/"
    (decision,) = api.get(f"{path}decisions/").json()["results"]
    assert (decision["number"], decision["by"]) == (5, "member")
    saved = api.post(f"{path}save/", {}, format="json")
    assert (saved.status_code, saved.json()["state"]) == (202, "saved")
    made = DatasetVersion.objects.get(pk=saved.json()["result"])
    assert values(made)[4] == value
    assert api.delete(path).status_code == 409
    api.force_authenticate(people.viewer)
    assert api.patch(f"{rows}5/", {"edition": 0, "rating": 1}, format="json").status_code == 404


def test_a_row_of_very_many_texts_is_changed_as_json(client, people, make) -> None:
    """A form has fewer fields than such a row has texts."""
    turns = [{"role": ("user", "assistant")[n % 2], "content": f"{n}"} for n in range(1200)]
    version = make([{"messages": turns}]).latest
    client.force_login(people.member)
    edit = reverse("datasets:row_edit", args=[version.dataset_id, version.pk, 1])
    page = client.get(edit)
    form = page.context["form"]
    assert not page.context["has_texts"]
    raw = form["raw"].value().replace('"1199"', '"changed"')
    assert client.post(edit, {"edition": "0", "raw": raw}).status_code == 302
    (decision,) = Revision.objects.get().decisions.all()
    assert decision.changed_value["messages"][-1]["content"] == "changed"
