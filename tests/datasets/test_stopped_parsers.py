"""Parsers that are stopped from outside: which says nothing about the file they read."""

import contextlib
import signal
from pathlib import Path

import psutil
import pytest

from common.phrases import load
from datasets import services
from datasets.ingest import contents_ingest
from datasets.models import DatasetVersion
from datasets.reading import foreign
from datasets.reading.refusals import NotRead
from datasets.services.checks import TRIES
from tests.datasets import samples
from tests.datasets.conftest import GOOD, jsonl

SLOW = "<p>word " * 30 * 2**16


def ingest(folder: Path, data: bytes, name: str, **given):
    """What the file holds."""
    (folder / "original").write_bytes(data)
    return contents_ingest(folder, folder / "original", name, line_limit=1 << 20, **given)


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM])
def test_no_good_file_is_left_out(tmp_path: Path, sign: signal.Signals) -> None:
    """When a system short of memory, or one that is stopped, ends the parser of one of several."""
    sent = []

    def stop(_phase: str, _share: float) -> None:
        for child in psutil.Process().children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if "html" in child.cmdline():
                    child.send_signal(sign)
                    sent.append(child.pid)

    parts = {"a.txt": "Words.", "b.html": SLOW, "c.txt": "More words."}
    with pytest.raises(NotRead) as refused:
        ingest(tmp_path, samples.zipped(parts), "a.zip", progress=stop)
    assert sent
    assert refused.value.code == "parser_stopped"
    assert {path.name for path in tmp_path.iterdir()} == {"original"}


def test_a_file_that_takes_too_much_processor_time_is_left_out(
    tmp_path: Path, settings, monkeypatch
) -> None:
    """However busy the machine is: that is the file's own."""
    settings.PARSER_SECONDS = 2
    monkeypatch.setattr(foreign, "_PATIENCE", 1000)
    parts = {"a.txt": "Words.", "b.html": SLOW * 2}
    contents = ingest(tmp_path, samples.zipped(parts), "a.zip")
    assert [(file["name"], file["rows"]) for file in contents.files] == [
        ("a.txt", 1),
        ("b.html", 0),
    ]
    assert "2 seconds of processor time" in load(contents.files[1]["problem"])


@pytest.fixture
def version(make, monkeypatch) -> DatasetVersion:
    """A version of an archive whose check goes on in the background."""
    monkeypatch.setattr(services.uploads, "SMALL", 10)
    version = make(samples.zipped({"a.jsonl": jsonl(GOOD)}), filename="a.zip").latest
    assert version.state == "checking"
    return version


@pytest.mark.django_db
def test_the_check_begins_again(version, monkeypatch) -> None:
    """On a machine so busy that no parser comes to its end in time."""
    with monkeypatch.context() as busy:
        busy.setattr(foreign, "_PATIENCE", 0)
        assert services.version_check(version.pk) is False
    version.refresh_from_db()
    assert (version.state, version.progress) == ("checking", {"tries": 1})
    assert services.version_check(version.pk) is True
    version.refresh_from_db()
    assert (version.state, version.rows, version.progress) == ("ready", len(GOOD), {})


@pytest.mark.django_db
def test_after_some_tries_the_reason_is_said(version, monkeypatch) -> None:
    monkeypatch.setattr(foreign, "_PATIENCE", 0)
    assert [services.version_check(version.pk) for _try in range(TRIES)] == [
        *[False] * (TRIES - 1),
        True,
    ]
    version.refresh_from_db()
    assert (version.state, version.report["error"]["code"]) == ("broken", "parser_stopped")
    assert "short of time or memory" in load(version.report["error"]["message"])
