"""Public datasets of the list: known, changed, kept, fetched."""

import json

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from datasets import services
from datasets.importing.catalogue import entry_read
from datasets.models import Dataset, Import, PublicSource
from datasets.services.imports import hub_endpoints
from tests.datasets.conftest import GOOD, jsonl
from tests.datasets.hubs import SimulatedHub, hub
from tests.services import ROOT

__all__ = ["hub"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def sync(tmp_path):
    """Brings a list of these entries in step."""

    def go(**entries):
        path = tmp_path / "list.json"
        path.write_text(json.dumps(entries), encoding="utf-8")
        return services.public_sync(path)

    return go


def test_the_list_that_comes_with_the_platform() -> None:
    """Every entry passes the code that maps columns; syncing twice changes nothing."""
    entries = json.loads((ROOT / "data" / "dataset_info_public.json").read_text("utf-8"))
    assert len(entries) > 10
    assert {entry_read(entry, hub_endpoints()).shape for entry in entries.values()} == {
        "", "sharegpt", "preference", "kto", "text",
    }  # fmt: skip
    first = services.public_sync()
    assert (sorted(first.added), first.problems) == (sorted(entries), {})
    again = services.public_sync()
    assert (again.added, again.changed, again.missing, again.problems) == ([], [], [], {})
    assert Dataset.objects.filter(is_public=True).count() == len(entries)


def test_entries_change_and_go(sync) -> None:
    sync(a={"hf_hub_url": "x/a", "description": "one"}, b={"hf_hub_url": "x/b"})
    Dataset.objects.filter(name="b").update(remark="an operator's words")
    synced = sync(b={"hf_hub_url": "x/c", "description": "new"})
    assert (synced.changed, synced.missing) == (["b"], ["a"])
    assert Dataset.objects.get(name="a").remark == "one"
    assert Dataset.objects.get(name="b").remark == "an operator's words"
    assert PublicSource.objects.get(key="b").entry["hf_hub_url"] == "x/c"


def test_pages_of_the_hub_that_is_configured(sync, settings, client) -> None:
    """Are places like those of the public one; when another is configured they are none any more,
    until the list is corrected.
    """
    settings.HF_ENDPOINT = "http://hub.lan:8080/hf"
    page = "http://hub.lan:8080/hf/datasets/lab/rows"
    assert sync(a={"hf_hub_url": page, "description": "one"}).problems == {}
    dataset = Dataset.objects.get()
    assert services.public_places(dataset) == {"huggingface": "lab/rows"}
    settings.HF_ENDPOINT = "https://huggingface.co"
    assert services.public_places(dataset) == {}
    versions = reverse("datasets:version_list", args=[dataset.pk])
    assert client.get(versions).status_code == 200
    assert list(sync(a={"hf_hub_url": page, "description": "two"}).problems) == ["a"]
    synced = sync(a={"hf_hub_url": "lab/rows", "description": "three"})
    assert (synced.changed, synced.problems) == (["a"], {})
    assert services.public_places(dataset) == {"huggingface": "lab/rows"}
    dataset.refresh_from_db()
    assert dataset.remark == "three"


def test_wrong_entries_are_named_and_the_rest_goes_on(sync) -> None:
    synced = sync(
        good={"ms_hub_url": "x/a"},
        nowhere={"formatting": "alpaca"},
        odd=[],
        outside={"hf_hub_url": "../x"},
        columns={"hf_hub_url": "x/a", "columns": {"images": "pictures"}},
        **{"a/b": {"hf_hub_url": "x/a"}},
    )
    assert synced.added == ["good"]
    assert set(synced.problems) == {"nowhere", "odd", "outside", "columns", "a/b"}


def test_a_bad_list_is_said(tmp_path) -> None:
    path = tmp_path / "list.json"
    for text in ("[]", "{broken", ""):
        path.write_text(text)
        with pytest.raises(CommandError, match="no list of datasets"):
            call_command("datasets_public_sync", file=path)


def test_a_file_beside_the_list_is_read_at_once(sync, tmp_path, people) -> None:
    (tmp_path / "rows.jsonl").write_bytes(jsonl(GOOD))
    synced = sync(here={"file_name": "rows.jsonl"}, out={"file_name": "../../etc/passwd"})
    assert (synced.fetched, list(synced.problems)) == (["here"], ["out"])
    assert Dataset.objects.get(name="here").latest.rows == len(GOOD)
    assert sync(here={"file_name": "rows.jsonl"}).fetched == []


def test_an_operator_fetches(hub: SimulatedHub, sync, client, people) -> None:
    hub.files = {"train.jsonl": jsonl([{"q": "a", "reply": "b"}] * 5), "test.jsonl": jsonl(GOOD)}
    sync(
        a={
            "hf_hub_url": "lab/rows",
            "split": "train",
            "columns": {"prompt": "q", "response": "reply"},
        }
    )
    dataset = Dataset.objects.get()
    page = reverse("datasets:version_list", args=[dataset.pk])
    assert "lab/rows" in client.get(page).content.decode()
    fetch = reverse("datasets:public_fetch", args=[dataset.pk])
    client.force_login(people.owner)
    assert client.post(fetch, {"kind": "huggingface"}).status_code == 404
    client.force_login(people.operator)
    assert client.post(fetch, {"kind": "modelscope"})["Location"] == page
    answer = client.post(fetch, {"kind": "huggingface"})
    found = Import.objects.get()
    assert answer["Location"] == reverse("datasets:import_detail", args=[found.pk])
    services.import_execute(found.pk)
    found.refresh_from_db()
    assert (found.state, found.problem) == ("succeeded", "")
    assert (found.version.state, found.version.shape, found.version.rows) == ("ready", "alpaca", 5)
