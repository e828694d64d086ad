"""Counts by chosen tokenizers: begun, limited, killed, lost and forgotten."""

import os
import signal
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connection
from django.utils import timezone
from rest_framework.test import APIClient
from tokenizers import Tokenizer, models, pre_tokenizers

from accounts.models import User
from common.errors import DomainError
from datasets import services, tasks
from datasets.checking import LENGTHS
from datasets.models import Dataset, DatasetVersion, TokenCount
from datasets.services.uses import lengths_path
from datasets.shapes.templates import Template
from datasets.shapes.tokens import TokenCounter
from datasets.statistics.tokenizers import Tokenizer as Offered
from registry.models import ModelVersion
from tests.datasets import children
from tests.datasets.conftest import upload
from tests.datasets.test_lengths import api_of, by_words, page_of, published, version
from tests.datasets.test_tokens import tokenizer_dir
from tests.nodes.conftest import until

__all__ = ["by_words", "tokenizer_dir", "version"]
pytestmark = pytest.mark.django_db


def asked(
    version: DatasetVersion, folder: Path, by: User | AnonymousUser, template: str = "chatml"
) -> TokenCount:
    offered = Offered("x", "words", folder, template, is_base=True)
    return services.tokens_asked(version, offered, by=by)


def test_a_tokenizer_that_knows_no_other_words_is_said(version, people, home) -> None:
    """It can be read, and fails at the first word that it does not know."""
    folder = home / "models" / "strict"
    folder.mkdir()
    words = Tokenizer(models.WordLevel({"word": 0}))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.save(str(folder / "tokenizer.json"))
    assert TokenCounter(folder, Template())
    count = asked(version, folder, people.viewer, "empty")
    assert services.tokens_count(count.pk)
    count.refresh_from_db()
    assert count.state == "failed"
    assert "missing, damaged or too big" in count.problem
    assert asked(version, folder, people.viewer, "empty").state == "failed"
    TokenCount.objects.update(ended_at=timezone.now() - timedelta(hours=2))
    assert asked(version, folder, people.viewer, "empty").state == "waiting"


def test_a_count_that_never_ends_is_given_up(version, by_words, people) -> None:
    count = asked(version, by_words, people.viewer)
    TokenCount.objects.update(progress={"tries": 3})
    assert services.tokens_count(count.pk)
    assert asked(version, by_words, people.viewer).state == "failed"


def test_a_lost_file_is_made_again(version, by_words, people) -> None:
    """A count whose lengths are gone, the check's or a chosen one's, does not say that all fit."""
    published("words", "models/words")
    api = APIClient()
    api.force_authenticate(people.viewer)
    for one in ModelVersion.objects.order_by("model__name"):  # the check's own is the first
        question = {"tokenizer": str(one.pk), "cutoff_len": 50}

        def cuts(question=question):
            found = api.get(f"{api_of(version)}cuts/", question).json()
            return found["state"], found["cut"]

        if one.model.name == "words":
            assert cuts() == ("waiting", None)
            assert services.tokens_count(TokenCount.objects.waiting().get().pk)
        state, cut = cuts()
        assert state == "done" and cut > 0
        lost = version.check_directory / LENGTHS
        if one.model.name == "words":
            lost = lengths_path(version, TokenCount.objects.get(tokenizer="models/words").key)
        lost.unlink()
        assert cuts() == ("waiting", None)
        assert services.tokens_count(TokenCount.objects.waiting().get().pk)
        assert cuts() == ("done", cut)


def test_what_nobody_asks_for_is_forgotten(version, by_words, people) -> None:
    done, waits = (asked(version, by_words, people.viewer, name) for name in ("chatml", "qwen"))
    assert services.tokens_count(done.pk)
    file = lengths_path(version, done.key)

    def ask_after(**time: int) -> bool:
        """Whether asking so much later is noted."""
        then = timezone.now() - timedelta(**time)
        TokenCount.objects.update(asked_at=then)
        services.sweep()
        if not TokenCount.objects.filter(pk=done.pk).exists():
            return False
        asked(version, by_words, people.viewer)
        return TokenCount.objects.get(pk=done.pk).asked_at > then

    assert not ask_after(hours=23)  # looking does not write each time
    assert ask_after(days=29)
    assert file.exists()
    assert not ask_after(days=31)
    assert not file.exists()
    assert list(TokenCount.objects.all()) == [waits]


def test_so_many_counts_wait_for_one_reader(version, by_words, client, people) -> None:
    words = published("words", "models/words")
    Dataset.objects.update(is_public=True)
    assert client.get(page_of(version)).status_code == 200
    assert client.get(page_of(version), {"tokenizer": words.pk}).status_code == 404
    with pytest.raises(DomainError, match="Log in and try again"):
        asked(version, by_words, AnonymousUser())
    assert not TokenCount.objects.exists()
    for number in range(10):
        first = asked(version, by_words, people.viewer, f"template {number}")
        assert first.asked_by == people.viewer
    api = APIClient()
    api.force_authenticate(people.viewer)
    answer = api.get(f"{api_of(version)}cuts/", {"tokenizer": str(words.pk)}).json()
    assert (answer["state"], answer["cut"]) == ("failed", None)
    assert "10 of your counts of tokens wait already" in answer["problem"]
    assert asked(version, by_words, people.viewer, "template 0").state == "waiting"
    for number in range(10, 20):
        asked(version, by_words, people.member, f"template {number}")
    with pytest.raises(DomainError, match="20 counts of this version"):
        asked(version, by_words, people.developer)
    assert services.tokens_count(first.pk)
    assert asked(version, by_words, people.viewer).state == "waiting"
    assert asked(version, by_words, AnonymousUser()).state == "waiting"  # begun by others


def test_the_queue_starts_what_waits(version, by_words, people, monkeypatch) -> None:
    """One process for all, also when the news of it was lost."""
    sent: list[tuple[str, ...]] = []
    for place in ("counts", "sweeping"):
        monkeypatch.setattr(
            f"datasets.services.{place}.async_task", lambda *what, **_more: sent.append(what)
        )
    for template in ("chatml", "qwen", "chatml"):
        asked(version, by_words, people.viewer, template)
    wanted = ("datasets.tasks.tokens_count",)
    assert sent == [wanted, wanted]
    services.sweep()
    assert sent[2:].count(wanted) == 1
    started: list[bool] = []
    monkeypatch.setattr(services, "tokens_start", lambda: started.append(True))
    tasks.tokens_count()
    TokenCount.objects.all().delete()
    tasks.tokens_count()
    assert started == [True]


@pytest.mark.django_db(transaction=True)
def test_one_process_counts_and_goes_on(version, by_words, people, monkeypatch) -> None:
    """Whatever becomes of those that it starts; and nobody begins beside them."""
    for name, value in children.environment().items():
        monkeypatch.setenv(name, value)
    names = ("chatml", "qwen", "alpaca")
    counts = [asked(version, by_words, people.viewer, name) for name in names]
    killed, slow, last = counts
    file = by_words / "tokenizer.json"
    words = file.read_bytes()
    file.unlink()
    os.mkfifo(file)  # who reads it waits until somebody writes
    if connection.vendor == "sqlite":
        connection.close()

    def started() -> list[psutil.Process]:
        before = set(psutil.Process().children())
        for _count in counts:
            tasks.tokens_count()
        return list(set(psutil.Process().children()) - before)

    def child_at(count: TokenCount) -> psutil.Process:
        until(lambda: TokenCount.objects.get(pk=count.pk).progress.get("tries") == 1)
        (child,) = process.children()
        until(lambda: child.cmdline()[-1:] == [str(count.pk)])  # empty until the kernel set it up
        return child

    (process,) = started()
    child_at(killed).kill()
    child_at(slow).send_signal(signal.SIGXCPU)  # as the kernel does when the time is used up
    child = child_at(last)
    process.kill()
    process.wait(180)
    assert started() == []  # the one that was left works on
    file.write_bytes(words)
    child.wait(180)
    file.unlink()
    file.write_bytes(words)
    for count in counts:
        count.refresh_from_db()
    assert [count.state for count in counts] == ["waiting", "failed", "done"]
    assert "5 minutes of processor time" in slow.problem
    services.sweep()
    (process,) = started()
    assert process.wait(180) == 0
    killed.refresh_from_db()
    assert (killed.state, killed.progress, killed.lengths["count"]) == ("done", {}, 100)


COUNTED = """
import sys
import django
django.setup()
from django.core.management import call_command
from tests.memory import peak_kilobytes
call_command("tokens_count", sys.argv[1])
print(peak_kilobytes() // 1024)
"""


@pytest.mark.django_db(transaction=True)
def test_a_process_of_its_own_counts_in_bounded_memory(people, home, by_words) -> None:
    """40 MB of rows: every second one is counted, in far less memory than they take."""
    rows = [{"instruction": "word " * 4000, "output": "a"} for _ in range(2000)]
    dataset = services.dataset_create(
        project=people.team, created_by=people.owner, name="data", upload=upload(rows)
    )
    version = dataset.latest
    if version.state == "checking":
        assert services.version_check(version.pk)
        version.refresh_from_db()
    count = asked(version, by_words, people.viewer)
    megabytes = int(children.run(COUNTED, str(count.pk)).stdout)
    count.refresh_from_db()
    assert (count.state, count.lengths["count"], count.lengths["rows"]) == ("done", 1000, 2000)
    assert megabytes < 350
