"""Versions compared row by row, and older ones restored."""

import json
import random
from pathlib import Path

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from rest_framework.test import APIClient

from common.errors import Conflict, DomainError
from datasets import edit_forms, services
from datasets.comparing import KINDS, Side, compare, pairs
from datasets.models import Comparison, DatasetVersion
from datasets.reading.indexed import IndexedWriter
from datasets.services.comparisons import KEPT
from datasets.shapes.mapping import Mapping
from tests.datasets.conftest import GOOD, upload

ALPACA = Mapping.of("alpaca", {"prompt": "instruction", "response": "output"})
TEXT = Mapping.of("text", {"prompt": "text"})


def qa(question: str, answer: str, **more) -> dict:
    return {"instruction": question, "output": answer, **more}


def found(tmp_path: Path, before: list, after: list, mapping=ALPACA, mapping_after=None):
    """Counts, and the row numbers of each kind."""
    sides = []
    for name, rows, read_so in (
        ("before", before, mapping),
        ("after", after, mapping_after or mapping),
    ):
        folder = tmp_path / name
        folder.mkdir()
        with IndexedWriter(folder / "rows.jsonl") as writer:
            for row in rows:
                writer.write(row, writer.count + 1)
        sides.append(Side(folder / "rows.jsonl", read_so))
    target = tmp_path / "found"
    target.mkdir()
    counts = compare(*sides, target, lambda _share: None)
    for kind in KINDS:
        assert len(pairs(target, kind, 0, 10**6)) == counts[kind]
    assert counts["same"] + counts["changed"] + counts["removed"] == len(before)
    assert counts["same"] + counts["changed"] + counts["added"] == len(after)
    return counts, {kind: pairs(target, kind, 0, 10**6) for kind in KINDS}


PLAIN = [
    qa(f"What is thing number {n}?", f"It is the answer to thing {n}, at length.")
    for n in range(20)
]


def test_edits_exclusions_and_additions(tmp_path) -> None:
    after = [dict(row) for row in PLAIN]
    after[3]["output"] = "Something else."
    after[7]["instruction"] = "Please say what the seventh one is."
    del after[11]
    after.append(qa("What is new?", "This is."))
    counts, rows = found(tmp_path, PLAIN, after)
    assert counts == {"same": 17, "changed": 2, "added": 1, "removed": 1}
    assert rows["changed"] == [(3, 3), (7, 7)]
    assert rows["removed"] == [(11, None)]
    assert rows["added"] == [(None, 19)]


def test_order_and_keys_make_no_difference(tmp_path) -> None:
    after = [dict(reversed(row.items())) for row in PLAIN]
    random.Random(1).shuffle(after)
    assert found(tmp_path, PLAIN, after)[0]["same"] == 20


def test_copies_are_counted(tmp_path) -> None:
    row = PLAIN[0]
    counts, rows = found(tmp_path, [row, row, row, PLAIN[1]], [PLAIN[1], row])
    assert counts == {"same": 2, "changed": 0, "added": 0, "removed": 2}
    assert rows["removed"] == [(1, None), (2, None)]


def test_rows_that_were_all_cleaned_find_each_other(tmp_path) -> None:
    """Texts without a question in common: by likeness, where rows are dropped between, too."""
    draw = random.Random(3)
    words = [f"word{n}" for n in range(300)]
    texts = [" ".join(draw.choices(words, k=40)) for _ in range(60)]
    kept = [text for n, text in enumerate(texts) if n % 7]
    after = [{"text": text.replace("word1", "Word-1")} for text in kept]
    counts, rows = found(tmp_path, [{"text": text} for text in texts], after, TEXT)
    assert counts["removed"] == len(texts) - len(kept)
    assert counts["added"] == 0
    wanted = [n for n in range(60) if n % 7]
    assert [before for before, _after in rows["changed"]] == [
        n for n, text in zip(wanted, kept, strict=True) if "word1" in text
    ]


def test_strangers_are_not_put_together(tmp_path) -> None:
    before = [{"text": f"{n} " + "abcdef" * 5} for n in range(10)]
    after = [{"text": f"{n} " + "uvwxyz" * 5} for n in range(12)]
    counts, _rows = found(tmp_path, before, after, TEXT)
    assert counts == {"same": 0, "changed": 0, "added": 12, "removed": 10}


def test_a_row_alone_in_its_place_counts_as_changed(tmp_path) -> None:
    after = [*PLAIN[:5], qa("zzz", "yyy"), *PLAIN[6:]]
    assert found(tmp_path, PLAIN, after)[1]["changed"] == [(5, 5)]


def test_csv_and_its_successor_are_the_same(tmp_path) -> None:
    columns = {"prompt": "q", "response": "a", "kto_tag": "ok"}
    before = Mapping.of("kto", columns, from_csv=True)
    counts, _rows = found(
        tmp_path,
        [{"q": "x", "a": "y", "ok": "true"}],
        [{"q": "x", "a": "y", "ok": True}],
        before,
        Mapping.of("kto", columns),
    )
    assert counts["same"] == 1


@pytest.mark.parametrize(("before", "after"), [([], PLAIN[:2]), (PLAIN[:2], []), ([], [])])
def test_nothing_on_a_side(tmp_path, before, after) -> None:
    counts, _rows = found(tmp_path, before, after)
    assert (counts["added"], counts["removed"]) == (len(after), len(before))


def test_by_brute_force(tmp_path) -> None:
    """As chance has it: what is the same is what both have, copy by copy."""
    draw = random.Random(11)
    for trial in range(20):
        folder = tmp_path / str(trial)
        folder.mkdir()
        pool = [qa(f"q{n}", f"a{n}") for n in range(6)]
        before, after = (draw.choices(pool, k=draw.randrange(1, 12)) for _side in range(2))
        counts, _rows = found(folder, before, after)
        keys = [[json.dumps(row) for row in rows] for rows in (before, after)]
        assert counts["same"] == sum(min(keys[0].count(k), keys[1].count(k)) for k in set(keys[0]))


# --- services, pages, API -----------------------------------------------------------------------


@pytest.fixture
def two(people, make) -> tuple[DatasetVersion, DatasetVersion]:
    """A version, and one with a row changed, one left out and one more."""
    first = make(GOOD).latest
    rows = [dict(row) for row in GOOD]
    rows[2]["output"] = "answer two"
    del rows[9]
    rows.append(qa("<new>", "row", input=""))
    return first, services.version_add(first.dataset_id, by=people.member, upload=upload(rows))


@pytest.mark.django_db
def test_the_form_begins_with_a_version_and_what_it_was_made_from(client, people, make) -> None:
    other = make(GOOD, name="other").latest
    first = make(GOOD).latest
    second = services.version_add(first.dataset_id, by=people.member, upload=upload(GOOD[:9]))
    restored = services.version_restore(first.pk, by=people.member)  # holds what the first does
    edited = services.version_add(first.dataset_id, by=people.member, upload=upload(GOOD[:5]))
    DatasetVersion.objects.filter(pk=edited.pk).update(parent=first)
    client.force_login(people.viewer)

    def sides(**named: DatasetVersion) -> tuple[str, str]:
        query = {name: str(version.pk) for name, version in named.items()}
        form = client.get(reverse("datasets:comparison_create"), query).context["form"]
        return form["before"].value(), form["after"].value()

    made = str(first.pk), str(edited.pk)
    assert sides() == sides(after=edited) == sides(before=edited, after=edited) == made
    assert sides(after=restored) == (str(second.pk), str(restored.pk))
    assert sides(before=other) == (str(other.pk), str(edited.pk))
    assert sides(after=other) == (str(edited.pk), str(other.pk))
    assert sides(before=restored, after=first) == (str(restored.pk), str(first.pk))


@pytest.mark.django_db
def test_versions_that_the_address_names_can_be_chosen(client, people, two, monkeypatch) -> None:
    """However many others there are."""
    monkeypatch.setattr(edit_forms, "VERSIONS_MAX", 0)
    wanted = {"before": str(two[0].pk), "after": str(two[1].pk)}
    client.force_login(people.viewer)
    page = client.get(reverse("datasets:comparison_create"), wanted)
    assert {key for key, _name in page.context["form"].fields["before"].choices} == {
        *wanted.values()
    }
    assert client.post(reverse("datasets:comparison_create"), wanted).status_code == 302
    client.force_login(people.stranger)
    assert client.post(reverse("datasets:comparison_create"), wanted).status_code == 422


@pytest.mark.django_db
def test_the_page_and_the_api(client, people, two) -> None:
    before, after = two
    client.force_login(people.viewer)
    form = reverse("datasets:comparison_create")
    page = client.get(f"{form}?before={before.pk}&after={after.pk}")
    assert page.context["form"]["after"].value() == str(after.pk)
    same = client.post(form, {"before": str(before.pk), "after": str(before.pk)})
    assert same.status_code == 422
    assert "two different versions" in same.content.decode()
    answer = client.post(form, {"before": str(before.pk), "after": str(after.pk)})
    comparison = Comparison.objects.get()
    detail = reverse("datasets:comparison_detail", args=[comparison.pk])
    assert answer["Location"] == detail
    assert comparison.counts == {"same": 28, "changed": 1, "added": 1, "removed": 1}
    shown = client.get(detail).content.decode()
    assert "<del>2</del>" in shown
    assert "<ins>two</ins>" in shown
    assert "&lt;new&gt;" in client.get(f"{detail}?kind=added").content.decode()
    assert "question 9" in client.get(f"{detail}?kind=removed&from=99").content.decode()
    assert client.get(f"{detail}?from=²").status_code == 200
    api = APIClient()
    api.force_authenticate(people.viewer)
    again = api.post(
        "/api/v1/dataset-comparisons/",
        {"before": str(before.pk), "after": str(after.pk)},
        format="json",
    )
    assert (again.status_code, again.json()["id"]) == (201, str(comparison.pk))
    rows = api.get(f"/api/v1/dataset-comparisons/{comparison.pk}/rows/?kind=removed").json()
    assert (rows["count"], rows["next_from"]) == (1, None)
    assert (rows["results"][0]["before"], rows["results"][0]["after"]) == (10, None)
    api.force_authenticate(people.stranger)
    assert api.get(f"/api/v1/dataset-comparisons/{comparison.pk}/").status_code == 404
    client.force_login(people.stranger)
    assert client.get(detail).status_code == 404
    assert client.post(form, {"before": str(before.pk), "after": str(after.pk)}).status_code == 422


@pytest.mark.django_db
def test_big_ones_wait_and_killed_ones_go_on(client, people, two, monkeypatch, settings) -> None:
    monkeypatch.setattr("datasets.services.comparisons.SMALL", 1)
    comparison = services.comparison_create(two[0].pk, two[1].pk, by=people.viewer)
    assert comparison.state == "waiting"
    client.force_login(people.viewer)
    detail = reverse("datasets:comparison_detail", args=[comparison.pk])
    assert "being compared" in client.get(detail).content.decode()
    comparison.directory.mkdir(parents=True)
    (comparison.directory / "draft").mkdir()  # what a killed process leaves
    services.sweep()
    assert services.comparison_run(comparison.pk)
    assert not services.comparison_run(comparison.pk)
    part = client.get(detail, headers={"HX-Request": "true"})
    assert part["HX-Refresh"] == "true"
    Comparison.objects.update(state="waiting", progress={"tries": 5})
    assert services.comparison_run(comparison.pk)
    assert "never ended" in client.get(detail).content.decode()
    assert services.comparison_create(two[0].pk, two[1].pk, by=people.viewer).state == "waiting"
    Comparison.objects.update(asked_at=comparison.created_at - KEPT)
    services.sweep()
    assert not Comparison.objects.exists()
    assert not comparison.directory.exists()


@pytest.mark.django_db
def test_changes_outside_the_texts_are_shown(people, make) -> None:
    rows = [qa(f"q{n}", f"a{n}", source="web") for n in range(5)]
    before = make(rows).latest
    rows[1] = {**rows[1], "source": "book"}
    after = services.version_add(before.dataset_id, by=people.member, upload=upload(rows))
    comparison = services.comparison_create(before.pk, after.pk, by=people.viewer)
    assert comparison.counts["changed"] == 1
    api = APIClient()
    api.force_authenticate(people.viewer)
    (row,) = api.get(f"/api/v1/dataset-comparisons/{comparison.pk}/rows/").json()["results"]
    assert row["texts"][-1]["role"] == "JSON"
    assert '"book"' in row["texts"][-1]["after"]


@pytest.mark.django_db
def test_broken_versions_are_not_compared(people, two) -> None:
    DatasetVersion.objects.filter(pk=two[0].pk).update(state="broken")
    with pytest.raises(Conflict):
        services.comparison_create(two[0].pk, two[1].pk, by=people.viewer)
    with pytest.raises(DomainError):
        services.comparison_create(two[1].pk, two[1].pk, by=people.viewer)


@pytest.mark.django_db(transaction=True)
def test_an_older_version_is_restored_without_a_copy(client, people, two) -> None:
    first, second = two
    with pytest.raises(Conflict):
        services.version_restore(second.pk, by=people.member)
    client.force_login(people.member)
    versions = client.get(reverse("datasets:version_list", args=[first.dataset_id]))
    assert "Restore version 1" in versions.content.decode()
    assert "Restore version 2" not in versions.content.decode()
    answer = client.post(reverse("datasets:version_restore", args=[first.dataset_id, first.pk]))
    made = DatasetVersion.objects.get(number=3)
    assert answer["Location"].endswith(f"/{made.pk}/")
    assert (made.state, made.rows, made.parent) == ("ready", 30, first)
    assert made.lineage == {"kind": "restored", "source": "data v1", "part": ""}
    assert made.rows_path.stat().st_ino == first.rows_path.stat().st_ino
    use = client.get(reverse("datasets:version_use", args=[made.dataset_id, made.pk]))
    assert "restored from an older version" in use.content.decode()
    contents = made.rows_path.read_bytes()
    services.version_delete(first.pk, by=people.owner)
    assert not first.directory.exists()
    assert (made.rows_path.read_bytes(), made.train_path.exists()) == (contents, True)
    made.refresh_from_db()
    assert made.lineage["source"] == "data v1"
    DatasetVersion.objects.filter(pk=second.pk).update(lineage={"part": "test"})
    again = services.version_restore(second.pk, by=people.member)
    assert again.lineage["part"] == "test"  # a test part stays one
    services.version_delete(again.pk, by=people.owner)
    assert second.rows_path.exists()
    DatasetVersion.objects.filter(pk=second.pk).update(state="broken")
    with pytest.raises(Conflict):
        services.version_restore(second.pk, by=people.member)


@pytest.mark.django_db
def test_a_list_asks_once_where_all_its_versions_come_from(
    client, people, two, django_assert_num_queries
) -> None:
    first, _second = two
    client.force_login(people.viewer)
    url = f"/api/v1/datasets/{first.dataset_id}/versions/"
    services.version_restore(first.pk, by=people.member)
    with CaptureQueriesContext(connection) as few:
        client.get(url)
    for _ in range(3):
        services.version_restore(first.pk, by=people.member)
    with django_assert_num_queries(len(few)):
        sources = [one["lineage"].get("source") for one in client.get(url).json()["results"]]
    assert sources == [*["data v1"] * 4, None, None]
