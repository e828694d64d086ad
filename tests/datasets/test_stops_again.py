"""Rows at which the engine would stop are found again when it tells of other templates."""

import json
from pathlib import Path

import orjson
import pytest

from datasets import services
from datasets.models import DatasetVersion
from datasets.shapes.families import FAMILIES

pytestmark = [pytest.mark.django_db, pytest.mark.once]
Q, A = {"from": "human", "value": "What is <image>?"}, {"from": "gpt", "value": "Sun."}
ROWS = [
    {"conversations": [{**Q, "value": "Hi"}, A]},
    {"conversations": [Q]},
    {"conversations": [Q, A]},
    {"conversations": [Q, A]},
]
FOUND = {"sees": {"rows": 2, "row": 3, "why": "files"}}


def _engine_tells(folder: Path, **placeholders: list[str]) -> None:
    chatml = json.loads(orjson.dumps(FAMILIES["chatml"]))
    told = {name: {**chatml, "placeholders": words} for name, words in placeholders.items()}
    (folder / "llamafactory").mkdir(exist_ok=True)
    (folder / "llamafactory" / "templates.json").write_text(json.dumps(told))


def test_when_the_engine_tells_of_more(make, settings, tmp_path, monkeypatch) -> None:
    """By the sweep, once, and all else that was counted stays; as the check finds them."""
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(
        "datasets.services.statistics.async_task", lambda *what, **_more: asked.append(what)
    )
    settings.ENGINES_DIR = tmp_path
    version = make(ROWS).latest
    assert services.version_statistics(version.pk) and version.report["stops"] == {}
    counted = DatasetVersion.objects.get(pk=version.pk).statistics
    DatasetVersion.objects.update(statistics=counted | {"looked": 77})
    services.sweep()
    again = ("datasets.tasks.version_statistics", str(version.pk))
    assert again not in asked  # without an engine nothing else can be told
    _engine_tells(tmp_path, sees=["<image>", "<video>"], reads=[])
    services.sweep()
    assert asked.count(again) == 1
    assert services.version_statistics(version.pk)
    before, version = version, DatasetVersion.objects.get(pk=version.pk)
    assert version.report == before.report | {"stops": FOUND}
    assert version.statistics["looked"] == 77
    assert not services.version_statistics(version.pk)
    assert make(ROWS, name="new").latest.report["stops"] == FOUND


def test_what_cannot_be_looked_at_again_is_given_up(make, settings, tmp_path) -> None:
    """What was counted stays, and no sweep begins it anew."""
    settings.ENGINES_DIR = tmp_path
    version = make(ROWS).latest
    assert services.version_statistics(version.pk)
    _engine_tells(tmp_path, sees=["<image>"])
    DatasetVersion.objects.update(progress={"tries": 5})
    assert services.version_statistics(version.pk)
    version.refresh_from_db()
    assert "error" not in version.statistics and version.report["stops"] == {}
    assert not services.version_statistics(version.pk)
