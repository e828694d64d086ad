"""Imports from simulated hubs: what is chosen, refused, and told to nobody."""

import logging

import pytest
from django.urls import reverse

from accounts.models import Event
from common.errors import Conflict, DomainError
from datasets import services
from datasets.importing.hubs import repository_read
from datasets.importing.listing import Listed, Listing, offers
from datasets.models import Dataset
from tests.datasets.conftest import GOOD, jsonl
from tests.datasets.fetching import TOKEN, everything_written, fetch, hasty, rows_of
from tests.datasets.hubs import COMMIT, SimulatedHub, hub

__all__ = ["fetch", "hasty", "hub"]
pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("kind", ["huggingface", "modelscope"])
def test_a_file_of_a_hub_becomes_a_version(kind, hub: SimulatedHub, fetch, home) -> None:
    hub.files = {"README.md": b"# about", "dataset_infos.json": b"{}", "train.jsonl": jsonl(GOOD)}
    found = fetch(kind)
    assert (found.state, found.problem) == ("succeeded", "")
    assert rows_of(found) == GOOD
    assert found.version.dataset.name == found.name == "rows"
    assert found.version.filename == "train.jsonl"
    revision = {"huggingface": COMMIT, "modelscope": "master"}[kind]
    assert found.revision == revision
    assert "lab/rows" in found.version.dataset.remark
    assert revision in found.version.dataset.remark
    assert not list((home / "data" / ".imports").iterdir())


def test_several_files_become_one_version(hub, fetch) -> None:
    hub.files = {f"data/train-{n}.jsonl": jsonl(GOOD[n * 10 : n * 10 + 10]) for n in range(3)}
    found = fetch(repository="https://huggingface.co/datasets/lab/rows", name="all of it")
    assert rows_of(found) == GOOD
    assert [file["name"] for file in found.version.files] == sorted(hub.files)
    assert found.version.dataset.name == "all of it"


def test_subsets_and_parts_are_chosen_from(hub, fetch, people) -> None:
    hub.files = {
        "en/train.jsonl": jsonl(GOOD[:10]),
        "en/test.jsonl": jsonl(GOOD[10:15]),
        "zh/train.jsonl": jsonl(GOOD[15:]),
    }
    hub.card = {
        "configs": [
            {"config_name": "en", "data_files": [
                {"split": "train", "path": "en/train.jsonl"},
                {"split": "test", "path": ["en/test.jsonl"]}]},
            {"config_name": "zh", "data_files": "zh/*.jsonl"},
        ]
    }  # fmt: skip
    found = fetch()
    assert found.state == "choosing"
    assert [one["name"] for one in found.offers] == ["en / train", "en / test", "zh / train"]
    with pytest.raises(DomainError):
        services.import_choose(found.pk, ["fr / train"], by=people.member)
    services.import_choose(found.pk, ["en / test", "zh / train"], by=people.member)
    services.import_execute(found.pk)
    found.refresh_from_db()
    assert found.state == "succeeded"
    assert rows_of(found) == GOOD[10:]
    with pytest.raises(Conflict):
        services.import_cancel(found.pk, by=people.member)


def test_patterns_name_files(hub, fetch) -> None:
    hub.files = {"a.jsonl": jsonl(GOOD[:9]), "b/c.csv": b"instruction,output\nq,a\n"}
    found = fetch(files=["b/*.csv"])
    assert rows_of(found) == [{"instruction": "q", "output": "a"}]
    none = fetch(files=["*.parquet"], name="none")
    assert (none.state, "a.jsonl" in none.problem) == ("failed", True)


def test_patterns_of_a_card_keep_to_folders(hub, fetch) -> None:
    hub.files = {"a.jsonl": jsonl(GOOD[:5]), "extra/b.jsonl": jsonl(GOOD[5:]), "d/e/c.jsonl": b""}
    hub.card = {
        "configs": [
            {"config_name": "default", "data_files": "*.jsonl"},
            {"config_name": "extra", "data_files": "./extra/*.jsonl"},
            {"config_name": "deep", "data_files": ["d/**"]},
            {"config_name": "all", "data_files": "**/*.jsonl"},
        ]
    }
    assert [(one["name"], one["files"]) for one in fetch().offers] == [
        ("default / train", 1), ("extra / train", 1), ("deep / train", 1), ("all / train", 3)
    ]  # fmt: skip


def test_a_hub_that_lists_too_many_files(hub, fetch) -> None:
    hub.files = {f"{number}.bin": b"" for number in range(20_000)}
    hub.files["z.jsonl"] = jsonl(GOOD)
    assert "more than 20000 files" in fetch("modelscope").problem
    del hub.files["0.bin"], hub.files["1.bin"]
    assert fetch("modelscope", name="rows 2").state == "succeeded"


def test_offers_by_folder_and_part() -> None:
    def names(*paths: str) -> list[str]:
        return [one.name for one in offers(Listing([Listed(path) for path in paths]))]

    assert names("data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet") == [
        "train"
    ]
    assert names("data/dev.json", "data/train.json", ".gitattributes") == ["train", "validation"]
    assert names("a/x.csv", "b/x.csv", "b/test.csv") == ["a", "b", "b / test"]
    assert names("book.pdf", "LICENSE.txt", "notes.txt") == ["*"]
    assert names("README.md", "weights.bin") == []
    assert names(*(f"{n}/x.csv" for n in range(150))) == ["*"]


def test_a_further_version(hub, fetch, make) -> None:
    hub.files = {"x.jsonl": jsonl(GOOD[:3])}
    dataset = make()
    found = fetch(dataset_id=dataset.pk)
    assert (found.version.dataset, found.version.number) == (dataset, 2)


def test_a_token_goes_to_the_hub_alone_and_nowhere_else(
    hub, fetch, people, home, caplog, client
) -> None:
    hub.files = {"x.jsonl": jsonl(GOOD)}
    hub.token = TOKEN
    caplog.set_level(logging.DEBUG)
    waiting = fetch(secrets={"token": TOKEN}, execute=False)
    assert TOKEN not in everything_written(home)
    assert waiting.secret
    services.import_execute(waiting.pk)
    waiting.refresh_from_db()
    assert (waiting.state, waiting.secret) == ("succeeded", "")
    sent = [path for path, headers in hub.asked if TOKEN in str(headers)]
    assert sent
    assert not [path for path in sent if path.startswith("/cdn/")]
    assert TOKEN not in everything_written(home) + caplog.text
    client.force_login(people.member)
    refused = client.post(
        reverse("datasets:import_create"),
        {"kind": "huggingface", "repository": "../x", "token": TOKEN},
    )
    assert refused.status_code == 422
    assert TOKEN not in refused.content.decode()


@pytest.mark.parametrize(
    ("how", "word"),
    [
        ("private", "token"),
        ("gated", "Ask for access"),
        ("gone", "There is no"),
        ("revision", "no such revision"),
        ("nothing", "no file of a kind"),
        ("closed", "cannot be reached"),
        ("unknown", "is not known here"),
        ("offline", "TRAINER_HUB_ONLINE"),
        ("strange", "does not answer as it should"),
        ("endless", "does not answer as it should"),
        ("busy", "busy or in trouble"),
    ],
)
def test_what_a_hub_refuses_is_said(how, word, hub, fetch, settings) -> None:
    hub.files = {"x.jsonl": jsonl(GOOD)}
    given = {}
    if how == "private":
        hub.token = TOKEN
    elif how == "gated":
        hub.gated = True
    elif how == "gone":
        given["repository"] = "lab/other"
    elif how == "revision":
        given["revision"] = "v9"
    elif how == "nothing":
        hub.files = {"README.md": b"x", "model.bin": b"x"}
    elif how == "closed":
        hub.close()
    elif how == "unknown":
        settings.HF_ENDPOINT = "http://hub.invalid"
    elif how == "strange":
        hub.files, hub.card = {}, {}
        settings.HF_ENDPOINT = f"{hub.endpoint}/datasets/lab/rows/resolve/{COMMIT}/page?x="
        hub.files = {"page": b"<html>log in</html>"}
    elif how == "endless":
        settings.HF_ENDPOINT = f"{hub.endpoint}/datasets/lab/rows/resolve/{COMMIT}/page?x="
        hub.files = {"page": b"[" * 100_000}
    elif how == "busy":
        hub.busy = 99
    elif how == "offline":
        settings.HUB_ONLINE = False
        with pytest.raises(DomainError, match=word):
            fetch()
        return
    found = fetch(**given)
    assert found.state == "failed"
    assert word in found.problem
    assert not Dataset.objects.exists()
    assert Event.objects.filter(subject_id=found.pk, verb="import_failed").exists()


HF, MS = "https://huggingface.co", "https://www.modelscope.cn"

KINDS = {MS: "modelscope"}


@pytest.mark.parametrize(
    ("endpoint", "given"),
    [
        (HF, "lab/rows"),
        (HF, "https://huggingface.co/datasets/lab/rows"),
        (HF, "https://hf-mirror.com/datasets/lab/rows/tree/main?x=1"),
        ("https://hf-mirror.com", "https://huggingface.co/datasets/lab/rows"),
        (MS, "https://modelscope.cn/datasets/lab/rows/files"),
        ("http://hub.lan:8080/hf", "http://hub.lan:8080/hf/datasets/lab/rows"),
        ("http://hub.lan:8080/hf", "https://huggingface.co/datasets/lab/rows"),
    ],
)
def test_addresses_of_the_hub(endpoint: str, given: str) -> None:
    assert repository_read(given, KINDS.get(endpoint, "huggingface"), endpoint) == "lab/rows"


@pytest.mark.parametrize(
    ("endpoint", "given"),
    [
        (HF, "https://evil.example/lab/rows"),
        (HF, "https://huggingface.co@evil.example/datasets/lab/rows"),
        (HF, "https://huggingface.co.evil.example/datasets/lab/rows"),
        (HF, "https://www.modelscope.cn/datasets/lab/rows"),
        (MS, "https://huggingface.co/datasets/lab/rows"),
        (HF, "file://huggingface.co/datasets/lab/rows"),
        (HF, "https://[huggingface.co/lab/rows"),
        ("http://hub.lan:8080/hf", "http://hub.lan:8080/other/lab/rows"),
        ("http://hub.lan:8080/hf", "http://hub.lan:8080/hfx/lab/rows"),
        ("http://hub.lan:8080", "https://www.modelscope.cn/datasets/lab/rows"),
    ],
)
def test_addresses_of_other_servers_are_refused(endpoint: str, given: str) -> None:
    """They would be asked of this hub, which may have another data set of that name."""
    with pytest.raises(DomainError) as refused:
        repository_read(given, KINDS.get(endpoint, "huggingface"), endpoint)
    assert (refused.value.field, endpoint in refused.value.message) == ("repository", True)


@pytest.mark.parametrize(
    ("kind", "name"), [("huggingface", "huggingface.co"), ("modelscope", "modelscope.cn")]
)
def test_a_hub_is_called_by_its_own_name(kind: str, name: str) -> None:
    """And not by that of a mirror, where no other is configured."""
    with pytest.raises(DomainError, match=f"from {name}: give"):
        repository_read("https://evil.example/lab/rows", kind, "")


def test_nobody_chooses(hub, fetch, settings) -> None:
    hub.files = {"train.jsonl": jsonl(GOOD), "test.jsonl": jsonl(GOOD)}
    found = fetch(secrets={"token": TOKEN})
    assert (found.state, bool(found.secret)) == ("choosing", True)
    services.sweep()
    settings.UPLOAD_KEEP_SECONDS = 0
    services.sweep()
    found.refresh_from_db()
    assert (found.state, found.secret) == ("failed", "")
