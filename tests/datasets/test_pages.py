"""Pages and API: what each person may see and do, and what a refusal looks like."""

import json

import pytest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import override
from rest_framework.test import APIClient

from datasets import services
from datasets.models import Dataset, DatasetVersion
from tests.datasets.conftest import GOOD, jsonl, upload

pytestmark = pytest.mark.django_db
NASTY = [*GOOD, {"instruction": "no answer"}, {"instruction": "q", "output": 5}]


@pytest.fixture
def dataset(make) -> Dataset:
    """A dataset of the team with two rows that are dropped."""
    return make(NASTY, remark="for tests")


def _urls(dataset: Dataset) -> list[str]:
    """All pages that a reader may open."""
    version = dataset.latest
    names = ("version_rows", "version_findings", "version_use", "version_state", "version_download")
    return [
        reverse("datasets:dataset_detail", args=[dataset.pk]),
        reverse("datasets:version_list", args=[dataset.pk]),
        *(reverse(f"datasets:{name}", args=[dataset.pk, version.pk]) for name in names),
        f"/api/v1/datasets/{dataset.pk}/",
        f"/api/v1/datasets/{dataset.pk}/versions/",
        *(
            f"/api/v1/datasets/{dataset.pk}/versions/{version.pk}/{part}"
            for part in ("", "rows/", "findings/", "cuts/", "download/")
        ),
    ]


def test_who_reads(client, people, dataset) -> None:
    """Members read; others find nothing until it is public, then everybody reads."""
    for url in _urls(dataset):
        client.logout()
        assert client.get(url).status_code in {302, 404, 401}, url
        for person, status in (("viewer", 200), ("stranger", 404), ("operator", 200)):
            client.force_login(getattr(people, person))
            assert client.get(url).status_code == status, (url, person)
    Dataset.objects.update(is_public=True)
    for url in _urls(dataset):
        client.logout()
        assert client.get(url).status_code == 200, url
        client.force_login(people.stranger)
        assert client.get(url).status_code == 200, url


def test_who_writes(client, people, dataset) -> None:
    """Researchers and managers; of public ones operators only."""
    version = dataset.latest
    urls = [
        reverse("datasets:dataset_update", args=[dataset.pk]),
        reverse("datasets:version_remap", args=[dataset.pk, version.pk]),
    ]

    def outcomes() -> dict[str, set[int]]:
        found = {}
        for person in ("owner", "member", "developer", "viewer", "stranger", "operator"):
            client.force_login(getattr(people, person))
            api = APIClient()
            api.force_authenticate(getattr(people, person))
            path = f"/api/v1/datasets/{dataset.pk}/"
            found[person] = {client.get(url).status_code for url in urls} | {
                api.patch(path, {"remark": "x"}, format="json").status_code
            }
        return found

    no, yes = {404}, {200}
    assert outcomes() == {
        "owner": yes,
        "member": yes,
        "developer": no,
        "viewer": no,
        "stranger": no,
        "operator": yes,
    }
    Dataset.objects.update(is_public=True)
    assert {name for name, found in outcomes().items() if found == yes} == {"operator"}


def test_publishing_is_a_managers_decision(people, dataset) -> None:
    """A researcher is told so."""
    api = APIClient()
    api.force_authenticate(people.member)
    path = f"/api/v1/datasets/{dataset.pk}/"
    answer = api.patch(path, {"is_public": True}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (422, "role_too_small")
    api.force_authenticate(people.owner)
    assert api.patch(path, {"is_public": True}, format="json").json()["is_public"] is True
    listed = APIClient().get("/api/v1/datasets/").json()["results"]
    assert [row["name"] for row in listed] == ["data"]


def test_upload_on_the_page(client, people, home) -> None:
    """The form leads to the rows; a bad file comes back with its line, and nothing is left."""
    client.force_login(people.member)
    session = client.session
    session["project"] = str(people.team.pk)
    session.save()
    url = reverse("datasets:dataset_create")
    assert client.get(url).status_code == 200
    answer = client.post(url, {"file": upload(GOOD, "mine.jsonl")})
    dataset = Dataset.objects.get()
    assert (dataset.name, dataset.project) == ("mine", people.team)
    assert answer.url == reverse("datasets:dataset_detail", args=[dataset.pk])
    page = client.get(answer.url).content.decode()
    assert "question 0" in page and "answer 0" in page
    broken = client.post(url, {"file": upload(b'[{"a": 1},\n{"a":]', "bad.json"), "name": "bad"})
    assert broken.status_code == 422
    assert "line 2" in broken.content.decode().lower()
    assert client.post(url, {"file": upload(b"", "empty.json")}).status_code == 422
    assert client.post(url, {}).status_code == 422
    assert Dataset.objects.count() == 1


def test_upload_over_the_api(people) -> None:
    """The same facts as JSON."""
    api = APIClient()
    api.force_authenticate(people.member)
    body = {"name": "mine", "file": upload(GOOD), "project": str(people.team.pk)}
    answer = api.post("/api/v1/datasets/", body, format="multipart")
    assert answer.status_code == 201
    row = answer.json()
    assert row["latest_version"]["state"] == "ready"
    path = f"/api/v1/datasets/{row['id']}/versions/"
    bad = api.post(path, {"file": upload(b'{"a": 1}\n{"a"\n')}, format="multipart")
    assert bad.status_code == 422
    assert bad.json() | {"detail": ""} == {
        "code": "broken_json",
        "detail": "",
        "field": "file",
        "line": 2,
        "column": 5,
    }
    mapped = api.post(
        f"{path}{row['latest_version']['id']}/mapping/",
        {"shape": "alpaca", "columns": {"prompt": "output", "response": "instruction"}},
        format="json",
    )
    assert (mapped.status_code, mapped.json()["number"]) == (200, 2)
    twice = {"name": "mine", "file": upload(GOOD), "project": str(people.team.pk)}
    assert api.post("/api/v1/datasets/", twice, format="multipart").status_code == 409


@pytest.mark.parametrize("name", ["row", "from", "cutoff", "start", "limit", "cutoff_len"])
def test_digits_that_are_no_numbers(client, people, dataset, name: str) -> None:
    """Are as any other word in an address: what is usual is shown."""
    client.force_login(people.member)
    version = dataset.latest
    pages = [
        reverse(f"datasets:{page}", args=[dataset.pk, version.pk])
        for page in ("version_rows", "version_findings", "version_statistics")
    ]
    path = f"/api/v1/datasets/{dataset.pk}/versions/{version.pk}/"
    parts = [f"{path}rows/", f"{path}findings/", f"{path}cuts/"]
    lineage = reverse("project_lineage", args=[people.team.pk])
    for address in (*pages, *parts, lineage):
        assert client.get(address, {name: "²"}).status_code == 200


def test_findings_have_the_numbers_of_rows(people) -> None:
    """By which rows are asked for, in the report as in the list of all."""
    api = APIClient()
    api.force_authenticate(people.member)
    file = upload([*GOOD, {"instruction": "no answer"}])
    body = {"name": "mine", "file": file, "project": str(people.team.pk)}
    version = api.post("/api/v1/datasets/", body, format="multipart").json()["latest_version"]
    path = f"/api/v1/datasets/{version['dataset']}/versions/{version['id']}/"
    (found,) = api.get(path).json()["report"]["findings"]
    assert found["row"] == len(GOOD) + 1
    assert api.get(f"{path}findings/").json()["results"][0]["row"] == found["row"]


def test_what_was_not_read_is_told(client, people, make, settings) -> None:
    """On the pages of the version, in the list of versions, and on the API."""
    settings.UPLOAD_LINE_MAX_BYTES = 200
    rows = [*GOOD, {"instruction": "x" * 300, "output": "y"}]
    made = make(rows)
    version = made.latest
    client.force_login(people.member)
    said = "1 line is left out: 31. The row in line 31 is longer"
    for name in ("version_findings", "version_list"):
        key = [made.pk] if name == "version_list" else [made.pk, version.pk]
        assert said in client.get(reverse(f"datasets:{name}", args=key)).content.decode()
    rows_page = client.get(reverse("datasets:version_rows", args=[made.pk, version.pk]))
    assert said in rows_page.content.decode()
    (file,) = client.get(f"/api/v1/datasets/{made.pk}/versions/{version.pk}/").json()["files"]
    assert (file["rows"], file["problem"].startswith(said)) == (len(GOOD), True)


def test_findings_of_one_kind(client, people, make) -> None:
    """What the check counted leads to these findings alone."""
    empty = {"instruction": "What is missing?", "output": ""}
    version = make([*GOOD, {"instruction": "missing"}, empty]).latest
    client.force_login(people.viewer)
    url = reverse("datasets:version_findings", args=[version.dataset_id, version.pk])
    rows = reverse("datasets:version_rows", args=[version.dataset_id, version.pk])
    assert f"{url}?code=empty_answer" in client.get(rows).content.decode()
    for code, lines in (("empty_answer", [32]), ("missing", [31]), ("other", [31, 32])):
        found = client.get(url, {"code": code}).context["findings"]
        assert [one["line"] for one in found] == lines, code


def test_rows_in_pages_and_by_words(client, people, dataset) -> None:
    """A page anywhere, words in it, the row as it is, a finding's row."""
    client.force_login(people.viewer)
    url = reverse("datasets:version_rows", args=[dataset.pk, dataset.latest.pk])
    assert "question 25" in client.get(url, {"from": 21}).content.decode()
    assert "question 9<" not in client.get(url, {"q": "Question 25"}).content.decode()
    assert "&quot;output&quot;: 5" in client.get(url, {"row": 32, "view": "raw"}).content.decode()
    part = client.get(url, headers={"HX-Request": "true"}).content.decode()
    assert part.lstrip().startswith("<section")
    api = APIClient()
    api.force_authenticate(people.viewer)
    path = f"/api/v1/datasets/{dataset.pk}/versions/{dataset.latest.pk}/"
    page = api.get(f"{path}rows/", {"from": 31, "page_size": 1}).json()
    assert (page["count"], page["next_from"]) == (32, 32)
    assert page["results"][0]["problem"]
    found = api.get(f"{path}rows/", {"search": "answer 17"}).json()["results"]
    assert [row["number"] for row in found] == [18]
    findings = api.get(f"{path}findings/").json()
    assert [(one["line"], one["code"]) for one in findings["results"]] == [
        (31, "missing"),
        (32, "wrong_type"),
    ]


def test_downloads(client, people, dataset) -> None:
    """The file as it came, all rows, those for the engine, the findings."""
    client.force_login(people.viewer)
    url = reverse("datasets:version_download", args=[dataset.pk, dataset.latest.pk])

    def lines(form: str) -> list[str]:
        answer = client.get(url, {"form": form})
        assert "attachment" in answer["Content-Disposition"]
        return b"".join(answer).decode().splitlines()

    assert "\n".join(lines("original")) + "\n" == jsonl(NASTY).decode()
    assert len(lines("rows")) == 32
    assert len(lines("train")) == 30
    assert [json.loads(line)["line"] for line in lines("findings")] == [31, 32]
    assert client.get(url, {"form": "../../db.sqlite3"}).status_code == 404


def test_list_filters(client, people, make) -> None:
    """By words and by format, for pages and API."""
    make(name="alpha", remark="red")
    make([{"text": "x"}], name="beta")
    client.force_login(people.viewer)
    session = client.session
    session["project"] = str(people.team.pk)
    session.save()
    url = reverse("datasets:dataset_list")
    assert "alpha" not in client.get(url, {"shape": "text"}).content.decode()
    assert "beta" not in client.get(url, {"q": "RED"}).content.decode()
    api = APIClient()
    api.force_authenticate(people.viewer)

    def names(**query: str) -> set[str]:
        return {row["name"] for row in api.get("/api/v1/datasets/", query).json()["results"]}

    assert names(shape="text") == {"beta"}
    assert names(search="red") == {"alpha"}
    assert names(project=str(people.team.pk)) == {"alpha", "beta"}
    assert names(is_public="true") == set()


def test_a_filtered_list_counts_all_versions(client, people, make) -> None:
    """Also those that have another format than the one that is looked for."""
    dataset = make()
    services.version_add(dataset.pk, by=people.owner, upload=upload([{"text": "plain"}] * 5))
    client.force_login(people.viewer)
    listed = client.get(reverse("datasets:dataset_list"), {"scope": "all", "shape": "alpaca"})
    shown = client.get("/api/v1/datasets/", {"shape": "alpaca"}).json()["results"]
    assert [one.version_count for one in listed.context["page"]] == [2]
    assert [(one["version_count"], one["latest_version"]["number"]) for one in shown] == [(2, 2)]


def test_the_page_of_a_check_that_runs(client, people, make, monkeypatch) -> None:
    """Shows how far it is, and asks for the page anew when it is over."""
    monkeypatch.setattr(services.uploads, "SMALL", 10)
    dataset = make()
    version = dataset.latest
    DatasetVersion.objects.update(progress={"phase": "checking", "percent": 40})
    client.force_login(people.viewer)
    state = reverse("datasets:version_state", args=[dataset.pk, version.pk])
    answer = client.get(state)
    assert "40 %" in answer.content.decode()
    assert "HX-Refresh" not in answer
    services.version_check(version.pk)
    assert client.get(state)["HX-Refresh"] == "true"


def test_change_and_delete(client, people, dataset) -> None:
    """Name and remark; then the end."""
    client.force_login(people.member)
    url = reverse("datasets:dataset_update", args=[dataset.pk])
    assert client.post(url, {"name": "a/b", "remark": ""}).status_code == 422
    assert client.post(url, {"name": "new", "remark": "better"}).status_code == 302
    dataset.refresh_from_db()
    assert (dataset.name, dataset.remark) == ("new", "better")
    assert client.post(reverse("datasets:dataset_delete", args=[dataset.pk])).status_code == 302
    assert not Dataset.objects.exists()


def test_admin(client, people, dataset) -> None:
    """Operators upload, change and delete through the services."""
    client.force_login(people.operator)
    for name in ("dataset", "datasetversion"):
        assert client.get(reverse(f"admin:datasets_{name}_changelist")).status_code == 200
    version = dataset.latest
    assert (
        client.get(reverse("admin:datasets_datasetversion_change", args=[version.pk])).status_code
        == 200
    )
    inline = {"versions-TOTAL_FORMS": 0, "versions-INITIAL_FORMS": 0}
    add = reverse("admin:datasets_dataset_add")
    fields = {"project": str(people.team.pk), "name": "by admin", "remark": ""}
    assert client.post(add, {**fields, **inline, "file": upload(GOOD)}).status_code == 302
    made = Dataset.objects.get(name="by admin")
    assert made.latest.rows == 30
    client.post(add, {**fields, **inline, "name": "bad", "file": upload(b"{", "x.json")})
    assert not Dataset.objects.filter(name="bad").exists()
    change = reverse("admin:datasets_dataset_change", args=[made.pk])
    assert client.post(change, {"name": "changed", "remark": "", **inline}).status_code == 302
    delete = reverse("admin:datasets_dataset_delete", args=[made.pk])
    assert client.post(delete, {"post": "yes"}).status_code == 302
    assert not Dataset.objects.filter(pk=made.pk).exists()


def test_several_files_and_pasted_rows(client, people) -> None:
    """On the page and over the API; what was left out is named on the page of versions."""
    client.force_login(people.member)
    client.post("/projects/switch/", {"project": people.team.pk})
    url = reverse("datasets:dataset_create")
    png = upload(b"\x89PNG....", "picture.png")
    assert client.post(url, {"name": "none"}).status_code == 422
    answer = client.post(
        url, {"file": [upload(GOOD, "one.jsonl"), png], "path": ["d/one.jsonl", "d/picture.png"]}
    )
    assert answer.status_code == 302, answer.content.decode()
    dataset = Dataset.objects.get(name="d")
    page = client.get(reverse("datasets:version_list", args=[dataset.pk])).content.decode()
    assert "d/picture.png" in page
    text = '{"instruction": "a", "output": "b"}'
    url = reverse("datasets:version_list", args=[dataset.pk])
    assert client.post(url, {"text": text}).status_code == 302
    refused = client.post(url, {"text": text + "\n{'a'"}, follow=True)
    assert (refused.status_code, b'id="id_text_error"' in refused.content) == (422, True)
    api = APIClient()
    api.force_authenticate(people.member)
    url = f"/api/v1/datasets/{dataset.pk}/versions/"
    made = api.post(url, {"text": text}, format="json")
    assert (made.status_code, made.data["number"], made.data["rows"]) == (201, 3, 1)
    files = [upload(GOOD[:3], "a.jsonl"), upload(GOOD[3:5], "b.jsonl")]
    made = api.post(url, {"file": files}, format="multipart")
    assert (made.status_code, made.data["rows"]) == (201, 5)
    assert [file["rows"] for file in made.data["files"]] == [3, 2]
    assert api.post(url, {}, format="json").status_code == 422


def test_lines_left_out_are_told_beside_a_check_without_findings(client, people, make) -> None:
    """Which then does not say that there is nothing to complain about."""
    client.force_login(people.owner)
    version = make(jsonl(GOOD) + b"{broken\n").latest
    assert version.report["findings"] == []
    page = client.get(
        reverse("datasets:version_findings", args=[version.dataset_id, version.pk])
    ).content.decode()
    assert f"1 line is left out: {len(GOOD) + 1}. Line {len(GOOD) + 1}, column 2" in page
    assert "Nothing in the rows that were read" in page
    assert "Nothing to complain about" not in page
    assert "Every row can be learnt from" not in page
    version = make(jsonl(GOOD), name="whole").latest
    page = client.get(
        reverse("datasets:version_findings", args=[version.dataset_id, version.pk])
    ).content.decode()
    assert "Nothing to complain about" in page


def test_what_is_wrong_with_a_file_stands_apart_from_its_rows() -> None:
    """No sign of one language follows a text of another."""
    with override("zh-hans"):
        said = render_to_string(
            "datasets/_file_read.html", {"file": {"rows": 2, "problem": "为何"}}
        )
    assert said.strip() == '2 行 · <span class="bad">为何</span>'
