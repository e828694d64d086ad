"""Rows unlike the others: bounds, what is beyond them, and older statistics without them."""

import unicodedata
import uuid
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.urls import reverse
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from datasets import services
from datasets.models import DatasetVersion
from datasets.previews import mapping_of
from datasets.recipes import kinds
from datasets.recipes.pipeline import apply
from datasets.recipes.ratios import repetition, symbols
from datasets.statistics.counting import FORMAT
from datasets.statistics.facts import NEAR, RECORD, UNUSUAL
from tests.datasets.conftest import values

pytestmark = [pytest.mark.django_db, pytest.mark.once]
WORDS = [
    *("the", "committee", "met", "on", "monday", "to", "discuss", "new", "plans", "for", "old"),
    *("town", "library", "roofs"),
]
PLAIN = [" ".join(WORDS[(n + k) % 13] + str(n) for k in range(13 + n % 5)) for n in range(60)]
ODD = {
    "short": "the committee",
    "long": " ".join(f"{word}{n}" for n in range(40) for word in WORDS),
    "symbols": "the committee met on "
    + " ".join("*=#|~^<>+%"[n % 10] * (n % 7 + 1) for n in range(20)),
    "repetition": "the committee met on monday " * 5,
    "language": "Der Ausschuss hat am Montag über die neuen Pläne für die alte Bücherei beraten.",
}
ROWS = [{"text": text} for text in (*PLAIN, *ODD.values())]


def _counted(version: DatasetVersion) -> dict[str, Any]:
    assert services.version_statistics(version.pk)
    version.refresh_from_db()
    return {one["kind"]: one for one in version.statistics["outliers"]}


def test_each_kind_is_found_and_dropped_by_the_bounds_that_are_told(make, tmp_path) -> None:
    version = make(ROWS).latest
    found = _counted(version)
    for place, kind in enumerate(ODD, start=len(PLAIN) + 1):
        rows = [one["row"] for one in found[kind]["examples"]]
        assert (rows, found[kind]["rows"], found[kind]["looked"]) == ([place], 1, len(ROWS)), kind
    assert found["language"]["bound"] == ["en"]
    assert found["short"]["examples"][0]["value"] == len(ODD["short"])
    facts = np.fromfile(version.check_directory / "facts.bin", dtype=RECORD)
    assert list(np.flatnonzero(facts["flags"] & UNUSUAL)) == [60, 61, 62, 63, 64]
    step = {
        "min_chars": found["short"]["bound"],
        "max_chars": found["long"]["bound"],
        "max_symbols": found["symbols"]["bound"],
        "max_repetition": found["repetition"]["bound"],
        "languages": found["language"]["bound"],
    }
    steps = kinds.steps_checked([{"kind": "clean", "parameters": step}])
    kept, _outcomes = apply(
        values(version), steps, mapping=mapping_of(version), seed=1, folder=tmp_path
    )
    assert [row.number for row in kept] == list(range(60))


def test_rows_that_are_alike_have_no_outliers(make) -> None:
    """Half as long or twice as long is not unusual, and of a few rows nothing is."""
    rows = [{"text": text[:100]} for text in PLAIN] + [{"text": PLAIN[0][:60]}]
    assert not any(one["rows"] for one in _counted(make(rows, name="alike").latest).values())
    assert _counted(make(ROWS[-8:], name="few").latest) == {}


def test_signs_are_counted_in_all_rows_of_a_big_version(make, monkeypatch, client, people) -> None:
    """Repetition in a sample, which the page says."""
    monkeypatch.setattr("datasets.statistics.counting.SAMPLE_BYTES", 3000)
    rows = [*ROWS[:20], {"text": ODD["symbols"]}, *ROWS[20:60], {"text": ODD["symbols"] + "*"}]
    version = make(rows, name="big").latest
    found = _counted(version)
    assert (found["symbols"]["rows"], found["symbols"]["looked"]) == (2, len(rows))
    looked = version.statistics["looked"]
    assert found["repetition"]["looked"] == looked < len(rows)
    client.force_login(people.owner)
    url = reverse("datasets:version_statistics", args=[version.dataset_id, version.pk])
    said = f"Repetition and languages are estimated from {looked} of {len(rows)} rows"
    assert said in client.get(url).content.decode()


def test_page(make, client, people) -> None:
    """Counts, examples, all of the rows, and a recipe step that drops them."""
    version = make(ROWS).latest
    found = _counted(version)
    client.force_login(people.owner)
    url = reverse("datasets:version_statistics", args=[version.dataset_id, version.pk])
    rows = reverse("datasets:version_rows", args=[version.dataset_id, version.pk])
    page = client.get(url).content.decode()
    for words in (
        f"fewer than {found['short']['bound']} characters",
        "another language than English",
        "(German)",
        f'{rows}?row=61">row 61</a>',
    ):
        assert words in page
    step = client.get(url).context["outliers_step"]
    assert step in page.replace("&amp;", "&")
    shown = client.get(rows, {"flag": "unusual"}).context["rows"].rows
    assert [row.number for row in shown] == [61, 62, 63, 64, 65]
    form = client.get(f"{reverse('datasets:recipe_create')}?{step}").context["steps"][0]
    assert form["max_chars"].value() == str(found["long"]["bound"])
    assert form["languages"].value() == ["en"]
    client.cookies["django_language"] = "zh-hans"
    assert f"少于 {found['short']['bound']} 个字符" in client.get(url).content.decode()


def test_older_statistics_are_counted_again_newest_first(make, monkeypatch, client, people) -> None:
    """One at a time, when nothing else waits; until then they are shown. Near duplicates stay."""
    asked: list[tuple[str, ...]] = []
    for place in ("sweeping", "statistics"):
        name = f"datasets.services.{place}.async_task"
        monkeypatch.setattr(name, lambda *what, **_more: asked.append(what))
    rows = [*ROWS, {"text": ODD["long"] + "!!"}, {"text": ODD["long"][2:]}]
    old, new, fresh = (make(rows, name=name).latest for name in ("old", "new", "fresh"))
    for version in (old, new):
        _counted(version)
        assert services.version_duplicates(version.pk)
        version.refresh_from_db()
        near = version.statistics["near"]
        DatasetVersion.objects.filter(pk=version.pk).update(
            statistics={key: one for key, one in version.statistics.items() if key != "outliers"},
            statistics_format=None,
            overlaps={str(uuid.uuid4()): {"asked": 1, "shared": 0}},
        )
    DatasetVersion.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(days=1))
    del asked[:]
    services.sweep()
    assert asked == [("datasets.tasks.version_statistics", str(fresh.pk))]
    _counted(fresh)
    del asked[:]
    client.force_login(people.viewer)
    url = reverse("datasets:version_statistics", args=[new.dataset_id, new.pk])
    assert "made before an update" in client.get(url).content.decode()
    services.sweep()
    assert ("datasets.tasks.version_statistics", str(new.pk)) in asked
    assert ("datasets.tasks.version_statistics", str(old.pk)) not in asked
    assert _counted(new)["long"]["rows"] == 3
    assert (new.statistics["near"], new.statistics_format, new.overlaps) == (near, FORMAT, {})
    facts = np.fromfile(new.check_directory / "facts.bin", dtype=RECORD)
    assert np.count_nonzero(facts["flags"] & NEAR) == near["rows"] > 0
    assert not services.version_statistics(new.pk)
    DatasetVersion.objects.filter(pk=old.pk).update(progress={"tries": 5})
    assert services.version_statistics(old.pk)  # given up: it keeps what it has
    old.refresh_from_db()
    assert "error" not in old.statistics and not services.version_statistics(old.pk)


@given(st.text(st.sampled_from("ab 你é\U0001f600\ud800*_٣"), max_size=400))
def test_ratios_are_those_of_the_definition(text) -> None:
    count = len(text) - 9
    kinds_ = len({text[place : place + 10] for place in range(max(count, 0))})
    assert repetition(text) == (1 - kinds_ / count if count > 1 else 0)
    signs = "".join(text.split())
    odd = sum(unicodedata.category(sign)[0] not in "LMN" for sign in signs)
    assert symbols(text) == (odd / len(signs) if signs else 0)
    assert repetition("ab" * 100) > 0.9 and symbols("abcd，") == 0.2
