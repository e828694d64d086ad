"""Rows changed, left out and rated by hand: what becomes of them, who may, what a kill leaves."""

import json

import orjson
import pytest

from common.errors import Conflict, DomainError
from datasets import services
from datasets.editing import row_value
from datasets.models import DatasetVersion, Revision, RowDecision
from datasets.receivers import tell_checks
from tests.datasets import children
from tests.datasets.conftest import GOOD, values

pytestmark = pytest.mark.django_db


@pytest.fixture
def decide(people):
    """Decides on a row as somebody, the member where nothing is said."""

    def go(version: DatasetVersion, row: int, edition: int = 0, **fields) -> RowDecision:
        by = fields.pop("by", people.member)
        return services.row_decide(version.pk, row, by=by, edition=edition, **fields)

    return go


@pytest.fixture
def save(people, django_capture_on_commit_callbacks):
    """Saves the draft of a version, to its end."""

    def go(version: DatasetVersion, **fields) -> Revision:
        draft = Revision.objects.drafts().get(version=version)
        with django_capture_on_commit_callbacks(execute=True):
            return services.revision_save(draft.pk, by=people.owner, **fields)

    return go


def test_decisions_make_a_version(people, make, decide, save) -> None:
    dataset = make(GOOD)
    version = dataset.latest
    before = version.rows_path.read_bytes()
    changed = {**GOOD[3], "output": "better", "extra": [1.0, {"z": 1, "a": 2}]}
    decide(version, 3, verdict="changed", value=changed)
    decide(version, 5, verdict="excluded", by=people.owner)
    decide(version, 7, rating=2)
    decide(version, 8, rating=5, note=" well said ")
    draft = Revision.objects.get()
    assert draft.counts == {"accepted": 0, "changed": 1, "excluded": 1, "rated": 2}
    assert draft.bytes == len(orjson.dumps(changed))
    revision = save(version, drop_rated_under=3)
    assert (revision.state, revision.problem) == ("saved", "")
    made = revision.result
    made.refresh_from_db()
    assert (made.dataset, made.number, made.parent, made.state) == (dataset, 2, version, "ready")
    kept = [row for number, row in enumerate(GOOD) if number not in {5, 7}]
    kept[3] = changed
    assert values(made) == kept
    assert json.dumps(values(made)[3]) == json.dumps(changed)  # keys in their order
    assert made.rows == 28
    assert version.rows_path.read_bytes() == before
    assert made.lineage == {
        "kind": "edits",
        "source": "data v1",
        "part": "",
        "rows": 30,
        "counts": {"changed": 1, "excluded": 1, "rated": 2},
        "rated_low": 1,
        "drop_rated_under": 3,
        "people": [
            {"name": "member", "changed": 1, "rated": 2},
            {"name": "owner", "excluded": 1},
        ],
    }
    ratings = RowDecision.objects.get(revision__version=made)  # of the row under its new number
    assert (ratings.row, ratings.rating, ratings.note, ratings.by) == (
        6,
        5,
        "well said",
        people.member,
    )
    assert values(made)[6] == GOOD[8]
    assert not revision.directory.exists()
    decide(version, 1, verdict="excluded")  # a new draft
    assert Revision.objects.filter(version=version).count() == 2


def test_columns_of_other_names_and_csv_are_kept(make, decide, save) -> None:
    data = b'q,a,ok\n"first\nline",A,true\nsecond,B,false\nthird,C,true\n'
    version = make(data, filename="marks.csv").latest
    if version.state != "ready":
        wish = services.Wish("kto", {"prompt": "q", "response": "a", "kto_tag": "ok"})
        version = services.version_remap(version.pk, by=version.created_by, wish=wish)
    value = row_value(version, 1)
    assert value == {"q": "second", "a": "B", "ok": False}
    decide(version, 1, verdict="changed", value={**value, "a": "B2"})
    made = save(version).result
    made.refresh_from_db()
    assert (made.state, made.shape, made.file_format, made.rows) == ("ready", "kto", "jsonl", 3)
    assert values(made)[0] == {"q": "first\nline", "a": "A", "ok": True}
    assert values(made)[1] == {"q": "second", "a": "B2", "ok": False}


def test_who_did_not_see_the_last_change_is_told(people, make, decide) -> None:
    version = make(GOOD).latest
    first = decide(version, 0, rating=4)
    with pytest.raises(Conflict) as refused:
        decide(version, 0, verdict="excluded", by=people.owner)
    assert (refused.value.code, refused.value.data) == ("changed_meanwhile", {"edition": 1})
    assert "member" in refused.value.message
    second = decide(version, 0, first.edition, verdict="excluded", by=people.owner)
    assert (second.rating, second.verdict, second.edition) == (4, "excluded", 2)
    third = decide(version, 0, 2, verdict="", rating=0)
    assert (third.rating, third.verdict, third.edition) == (None, "", 3)
    with pytest.raises(Conflict):  # also when everything was taken back since
        decide(version, 0, 0, rating=1)


def test_what_is_refused(people, make, decide, save, monkeypatch) -> None:
    version = make(GOOD).latest
    for row, fields, code in (
        (30, {"verdict": "excluded"}, "no_row"),
        (-1, {"verdict": "excluded"}, "no_row"),
        (0, {"verdict": "burnt"}, "verdict"),
        (0, {"rating": 6}, "rating"),
        (0, {"verdict": "changed", "value": {"instruction": "x"}}, "missing"),
    ):
        with pytest.raises(DomainError) as refused:
            decide(version, row, **fields)
        assert refused.value.code == code
    for who in ("viewer", "developer", "stranger"):
        with pytest.raises(DatasetVersion.DoesNotExist):
            decide(version, 0, verdict="excluded", by=getattr(people, who))
    decide(version, 0, verdict="changed", value=GOOD[0])  # nothing is different
    assert RowDecision.objects.get().verdict == ""
    with pytest.raises(DomainError) as refused:
        save(version)
    assert refused.value.code == "nothing"
    monkeypatch.setattr("datasets.services.edits.DECISIONS_MAX", 2)
    decide(version, 1, rating=1)
    with pytest.raises(DomainError) as refused:
        decide(version, 2, rating=1)
    assert refused.value.code == "too_much"
    monkeypatch.setattr("datasets.services.edits.BYTES_MAX", 100)
    with pytest.raises(DomainError):
        decide(version, 1, 1, verdict="changed", value={**GOOD[1], "output": "long" * 30})
    version.state = "mapping"
    version.save()
    with pytest.raises(Conflict):
        decide(version, 1, 1, rating=2)


def test_a_save_that_is_refused_leaves_the_draft_open(people, make, decide, save) -> None:
    version = make(GOOD[:2]).latest
    for row in (0, 1):
        decide(version, row, verdict="excluded")
    revision = save(version)
    assert (revision.state, revision.result) == ("open", None)
    assert "No row would be left" in revision.problem
    decide(version, 1, 1, verdict="")
    people.team.max_storage_bytes = 1
    people.team.save()
    assert "MB" in save(version).problem
    assert version.dataset.versions.count() == 1
    services.revision_discard(revision.pk, by=people.member)
    assert not Revision.objects.exists()


def test_nobody_takes_the_version_away_while_it_is_saved(people, make, decide, save) -> None:
    version = make(GOOD).latest
    decide(version, 0, verdict="excluded")
    Revision.objects.update(state="saving")
    with pytest.raises(Conflict):
        services.dataset_delete(version.dataset_id, by=people.owner)
    with pytest.raises(Conflict):
        decide(version, 1, rating=1)
    with pytest.raises(Conflict):
        services.revision_discard(Revision.objects.get().pk, by=people.owner)
    assert any("being saved" in line for line in tell_checks(None, project=people.team))
    Revision.objects.update(state="open")
    revision = save(version)
    services.version_delete(version.pk, by=people.owner)  # what was made knows its past
    assert DatasetVersion.objects.get(pk=revision.result_id).lineage["source"] == "data v1"


KILLED = """
import os, signal, sys
import django
django.setup()
from datasets import services
from datasets.models import Revision

TOUCHING = {"open", "os.mkdir", "os.rename", "os.link", "os.remove", "os.rmdir"}
left = int(sys.argv[2])


def watch(event, arguments):
    global left
    if event in TOUCHING and any(
        isinstance(one, (str, bytes, os.PathLike)) and "/data/" in os.fsdecode(one)
        for one in arguments
    ):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


sys.addaudithook(watch)
services.revision_write(Revision.objects.get(state="saving").pk)
"""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("steps", [2, 5, 9, 13, 17])
def test_a_killed_save_goes_on(people, home, make, decide, steps) -> None:
    """kill -9 at a step that touches files: the sweep goes on, and all is there once."""
    version = make(GOOD).latest
    decide(version, 0, verdict="excluded")
    decide(version, 1, rating=3)
    Revision.objects.update(state="saving", saved_by=people.owner)
    done = children.run(KILLED, "x", str(steps), check=False)
    assert done.returncode == -9, done.stderr
    for _round in range(3):
        services.sweep()
        for revision in Revision.objects.filter(state="saving"):
            services.revision_write(revision.pk)
        for waiting in DatasetVersion.objects.filter(state="checking"):
            services.version_check(waiting.pk)
    revision = Revision.objects.get(version=version)
    assert revision.state == "saved"
    made = version.dataset.versions.exclude(pk=version.pk).get()
    assert (made.pk, made.state, made.rows) == (revision.result_id, "ready", 29)
    folders = {path.name for path in made.directory.parent.iterdir()}
    assert folders == {f"v{one.number}" for one in version.dataset.versions.all()}
    assert not list((home / "data" / ".revisions").iterdir())


def test_saving_is_given_up_when_it_never_ends(make, decide) -> None:
    version = make(GOOD).latest
    decide(version, 0, verdict="excluded")
    Revision.objects.update(state="saving", progress={"tries": 5})
    revision = Revision.objects.get()
    assert services.revision_write(revision.pk)
    revision.refresh_from_db()
    assert revision.state == "open"
    assert "never ended" in revision.problem
