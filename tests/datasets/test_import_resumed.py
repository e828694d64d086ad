"""Imports that lost their network, or the room on the disk, go on with what has arrived."""

import shutil
import zipfile

import pytest
from django.urls import reverse

from accounts.models import Event
from common.errors import Conflict, DomainError
from datasets import services
from datasets.models import Import
from datasets.services import importing
from datasets.services.imports import imports_root
from tests.datasets.conftest import GOOD, jsonl
from tests.datasets.fetching import TOKEN, big, everything_written, fetch, hasty
from tests.datasets.hubs import SimulatedHub, hub
from tests.nodes.disks import enlarge, small_disk

__all__ = ["fetch", "hasty", "hub"]
pytestmark = [pytest.mark.django_db, pytest.mark.once]


@pytest.fixture
def lost(hub, fetch) -> Import:
    """Its hub died in the middle of the second file."""
    hub.files = {"a.jsonl": jsonl(GOOD), "b.jsonl": big()}
    hub.token, hub.dies_after = TOKEN, 300_000
    return fetch(secrets={"token": TOKEN}, files=["*"])


@pytest.fixture
def back(lost, hub, settings):
    """The hub is there again."""
    again = SimulatedHub()
    again.files, again.token = hub.files, TOKEN
    settings.HF_ENDPOINT = again.endpoint
    yield again
    again.close()


def test_an_import_whose_server_died_goes_on(lost, back, people, home) -> None:
    assert (lost.state, lost.can_resume, lost.secret) == ("failed", True, "")
    services.sweep()
    with pytest.raises(DomainError) as refused:
        services.import_resume(lost.pk, by=people.member)
    assert refused.value.field == "token"
    found = services.import_resume(lost.pk, by=people.member, secrets={"token": TOKEN})
    assert (found.state, found.problem, found.ended_at) == ("waiting", "", None)
    services.import_execute(found.pk)
    found.refresh_from_db()
    assert (found.state, found.problem, found.secret) == ("succeeded", "", "")
    assert back.fetched() == [("b.jsonl", "bytes=300000-")]
    with zipfile.ZipFile(found.version.original) as both:
        assert {name: both.read(name) for name in both.namelist()} == back.files
    assert Event.objects.filter(subject_id=found.pk, verb="resumed", actor=people.member).exists()
    assert not list(imports_root().iterdir())
    assert TOKEN not in everything_written(home)


def test_a_server_is_waited_for_longer_when_something_has_arrived(hub, fetch) -> None:
    hub.files, hub.cuts = {"x.jsonl": big()}, [0] * 20
    assert fetch().state == "failed"
    assert len(hub.fetched()) == 1 + len(importing.WAITS)
    hub.cuts = [1000, *[0] * 20]
    assert fetch(name="again").state == "failed"
    assert len(hub.fetched()) == 2 + 2 * len(importing.WAITS) + len(importing.LONGER)


def test_what_is_kept_goes_after_a_while(lost, people, settings) -> None:
    settings.UPLOAD_KEEP_SECONDS = 0
    services.sweep()
    assert not lost.directory.exists()
    with pytest.raises(Conflict):
        services.import_resume(lost.pk, by=people.member, secrets={"token": TOKEN})


def test_what_is_kept_is_thrown_away(
    lost, people, client, django_capture_on_commit_callbacks
) -> None:
    client.force_login(people.member)
    assert "Discard what has arrived" in client.get(_page(lost)).content.decode()
    with django_capture_on_commit_callbacks(execute=True):
        client.post(reverse("datasets:import_cancel", args=[lost.pk]))
    lost.refresh_from_db()
    assert (lost.state, lost.directory.exists()) == ("cancelled", False)
    assert "Nothing of it is kept" in client.get(_page(lost)).content.decode()
    Import.objects.filter(pk=lost.pk).update(state="failed")
    with pytest.raises(Conflict):
        services.import_cancel(lost.pk, by=people.member)


def _page(found: Import) -> str:
    return reverse("datasets:import_detail", args=[found.pk])


def test_going_on_by_page_and_api(lost, back, people, client) -> None:
    client.force_login(people.member)
    page = reverse("datasets:import_detail", args=[lost.pk])
    assert 'name="token"' in client.get(page).content.decode()
    resume = reverse("datasets:import_resume", args=[lost.pk])
    refused = client.post(resume, {"token": ""})
    assert (refused.status_code, "again" in refused.content.decode()) == (422, True)
    assert client.post(resume, {"token": TOKEN})["Location"] == page
    services.import_cancel(lost.pk, by=people.member)
    address = reverse("api-import-resume", args=[lost.pk])
    assert client.post(address, {"token": TOKEN}, "application/json").status_code == 409
    Import.objects.filter(pk=lost.pk).update(state="failed")
    seen = client.get(reverse("api-import-detail", args=[lost.pk])).json()
    assert (seen["can_resume"], seen["needs_secret"]) == (True, True)
    given = client.post(address, {"token": TOKEN}, "application/json")
    assert (given.status_code, given.json()["state"]) == (202, "waiting")
    client.force_login(people.viewer)
    assert client.post(resume, {"token": TOKEN}).status_code == 404


def test_a_full_disk_is_said_and_the_import_goes_on_with_room(hub, fetch, people) -> None:
    hub.files = {"x.jsonl": big()}
    with small_disk(imports_root()):
        found = fetch()
        assert (found.state, "disk is full" in found.problem) == ("failed", True)
        assert shutil.disk_usage(imports_root()).free
        enlarge(imports_root())
        services.import_resume(found.pk, by=people.member)
        services.import_execute(found.pk)
        found.refresh_from_db()
        assert found.version.original.read_bytes() == hub.files["x.jsonl"]
