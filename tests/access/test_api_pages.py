"""The API in a browser."""

from pathlib import Path
from types import SimpleNamespace

from django.test import Client
from django.urls import reverse

from accounts.models import Project
from datasets.models import Dataset
from tests.access.addresses import addresses
from tests.access.objects import everything


def test_no_page_of_the_api_names_what_its_reader_does_not_see(
    people: SimpleNamespace, home: Path
) -> None:
    things = everything(people, home)
    Project.objects.create(name="unseen")
    Dataset.objects.filter(pk=things["dataset"].pk).update(name="unseen")
    client = Client(headers={"accept": "text/html"})
    client.force_login(people.stranger)
    lists = [one for one in addresses() if one.is_api and not one.arguments]
    pages = {one.name: client.get(reverse(one.name)).content.decode() for one in lists}
    assert "api-comparison-list" in pages
    assert [name for name, page in pages.items() if "unseen" in page] == []
