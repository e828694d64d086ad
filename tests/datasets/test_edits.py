"""Rows changed, left out and rated by hand: what becomes of them, who may, what a kill leaves."""

import json

import orjson
import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from common.errors import Conflict, DomainError
from datasets import services
from datasets.editing import places_of, row_value, value_checked, value_parsed, with_texts
from datasets.models import DatasetVersion, Revision, RowDecision
from datasets.receivers import tell_checks
from datasets.shapes.mapping import Mapping
from tests.datasets import children
from tests.datasets.conftest import GOOD

pytestmark = pytest.mark.django_db


def values(version: DatasetVersion) -> list[dict]:
    return [json.loads(line) for line in version.rows_path.read_text("utf-8").splitlines()]


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


# --- a row as a form ----------------------------------------------------------------------------

OPENAI = Mapping.of("openai", {"messages": "messages"})
ROWS = {
    "alpaca": (
        Mapping.of("alpaca", {"prompt": "q", "response": "a", "history": "h", "system": "s"}),
        {"a": "A", "id": 7, "q": "Q", "h": [["q0", "a0"]], "s": "S"},
        [("system", "S"), ("user", "q0"), ("assistant", "a0"), ("user", "Q"), ("assistant", "A")],
    ),
    "openai": (
        OPENAI,
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "Q"}]},
                {"role": "assistant", "content": "A", "tool_calls": None},
            ]
        },
        [("user", "Q"), ("assistant", "A")],
    ),
    "sharegpt preference": (
        Mapping.of("preference", {"messages": "c", "chosen": "w", "rejected": "l"}),
        {
            "c": [{"from": "human", "value": "Q"}],
            "w": {"from": "gpt", "value": "W"},
            "l": {"from": "gpt", "value": "L"},
        },
        [("user", "Q"), ("chosen", "W"), ("rejected", "L")],
    ),
    "kto": (
        Mapping.of("kto", {"prompt": "q", "response": "a", "kto_tag": "ok"}),
        {"q": "Q", "a": "A", "ok": True},
        [("user", "Q"), ("assistant", "A")],
    ),
    "text": (Mapping.of("text", {"prompt": "text"}), {"text": "T", "page": 3}, [("text", "T")]),
}


@pytest.mark.parametrize("name", ROWS)
def test_every_text_of_every_shape_has_a_place(name) -> None:
    mapping, value, wanted = ROWS[name]
    places = places_of(value, mapping)
    assert [(place.role, place.text) for place in places] == wanted
    assert with_texts(value, places, [place.text for place in places]) == value
    made = with_texts(value, places, [f"{place.text}!" for place in places])
    assert [place.text for place in places_of(made, mapping)] == [
        f"{text}!" for _role, text in wanted
    ]
    assert orjson.loads(value_checked(made, mapping)) == made
    assert list(made) == list(value)


def test_line_ends_of_forms_change_nothing() -> None:
    mapping = Mapping.of("text", {"prompt": "text"})
    value = {"text": "one\r\ntwo\n"}
    places = places_of(value, mapping)
    assert with_texts(value, places, ["one\r\ntwo\r\n"]) == value
    assert with_texts(value, places, ["one\r\n2\r\n"]) == {"text": "one\n2\n"}
    assert (
        with_texts({"text": "a"}, places_of({"text": "a"}, mapping), ["a\r\nb"])["text"] == "a\nb"
    )


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "broken_json"),
        ('{"q": "x"} {}', "broken_json"),
        ("[" * 70 + "]" * 70, "nesting"),
        ("[" + "1," * 100_000 * 2 + "1]", "too_long"),
        ("x" * 2**19, "too_long"),
    ],
)
def test_what_is_written_is_bounded(text, code) -> None:
    with pytest.raises(DomainError) as refused:
        value_parsed(text)
    assert refused.value.code == code


def test_no_row_becomes_useless() -> None:
    for value, code in (
        ([], "not_object"),
        ({"messages": []}, "no_messages"),
        ({"messages": [{"role": "user", "content": "q"}]}, "no_answer"),
        ({"messages": 2**70}, "broken_json"),
        ({"messages": "\ud800"}, "broken_json"),
        ({"x": "y" * 2**18}, "too_long"),
    ):
        with pytest.raises(DomainError) as refused:
            value_checked(value, OPENAI)
        assert refused.value.code == code


# --- decisions and saving -----------------------------------------------------------------------


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


# --- pages and API ------------------------------------------------------------------------------


def test_the_way_through_the_pages(client, people, make) -> None:
    version = make(GOOD).latest
    client.force_login(people.member)
    rows = reverse("datasets:version_rows", args=[version.dataset_id, version.pk])
    decide = reverse("datasets:row_decide", args=[version.dataset_id, version.pk, 12])
    answer = client.post(f"{decide}?from=11", {"edition": "0", "verdict": "excluded"})
    assert answer["Location"] == f"{rows}?from=11#row-12"
    page = client.get(f"{rows}?from=11")
    assert [row.number for row in page.context["rows"].rows] == list(range(11, 21))
    assert "0 changed, 1 left out, 0 rated" in page.content.decode()
    assert "is-out" in page.content.decode()
    part = client.post(  # as a part of the page: the list as it is now
        f"{decide}?from=11", {"edition": "1", "rating": "4"}, headers={"HX-Request": "true"}
    )
    assert "0 changed, 1 left out, 1 rated" in part.content.decode()
    late = client.post(
        f"{decide}?from=11", {"edition": "1", "rating": "5"}, headers={"HX-Request": "true"}
    )
    assert late.status_code == 422
    assert "member has changed row 12 meanwhile" in late.content.decode()
    edit = reverse("datasets:row_edit", args=[version.dataset_id, version.pk, 1])
    form = client.get(edit).context["form"]
    assert [role for role, _field in form.said] == ["user", "user", "assistant"]
    sent = {"edition": "0", "text-0": "question 0", "text-1": "", "rating": "5", "note": "mine"}
    sent["text-2"] = "a <b>new</b>\r\nanswer"
    assert client.post(edit, sent)["Location"].endswith("?row=1#row-1")
    page = client.get(rows).content.decode()
    assert "a &lt;b&gt;new&lt;/b&gt;\nanswer" in page
    raw = client.get(f"{edit}?raw=1").context["form"]["raw"].value()
    assert json.loads(raw) == {**GOOD[0], "output": "a <b>new</b>\nanswer"}
    assert client.post(f"{edit}?raw=1", {"edition": "1", "raw": "{"}).status_code == 422
    assert client.post(f"{edit}?raw=1", {"edition": "0", "raw": raw}).status_code == 422
    too_far = reverse("datasets:row_edit", args=[version.dataset_id, version.pk, 99])
    assert "There is no row 99" in client.get(too_far).content.decode()
    draft = Revision.objects.get()
    detail = reverse("datasets:revision_detail", args=[draft.pk])
    seen = client.get(detail).content.decode()
    assert "&lt;b&gt;" in seen
    assert "1 changed, 1 left out, 2 rated" in seen
    taken = {"edition": "2", "verdict": "", "draft": str(draft.pk)}
    assert client.post(decide, taken)["Location"] == detail
    save = reverse("datasets:revision_save", args=[draft.pk])
    saved = client.post(save, {"drop": "5"})
    made = DatasetVersion.objects.get(number=2)
    assert saved["Location"] == reverse("datasets:version_rows", args=[made.dataset_id, made.pk])
    assert made.rows == 29  # the one that was rated with 4 is gone
    use = client.get(reverse("datasets:version_use", args=[made.dataset_id, made.pk]))
    assert "edited by hand" in use.content.decode()
    versions = client.get(reverse("datasets:version_list", args=[made.dataset_id]))
    assert versions.content.decode().count("edited by hand") == 2  # in the head, and of its line
    assert "1 row rated under 5 left out" in use.content.decode()
    assert "Saved as" in client.get(detail).content.decode()
    assert client.post(reverse("datasets:revision_discard", args=[draft.pk])).status_code == 302
    assert Revision.objects.filter(pk=draft.pk).exists()


def test_others_do_not_see_drafts(client, people, make) -> None:
    """Also not those of a public dataset, which everybody may read."""
    version = make(GOOD, is_public=True).latest
    services.row_decide(version.pk, 0, by=people.operator, edition=0, rating=2, note="secret")
    draft = Revision.objects.get()
    rows = reverse("datasets:version_rows", args=[version.dataset_id, version.pk])
    path = f"/api/v1/datasets/{version.dataset_id}/versions/{version.pk}/rows/"
    for who, sees in (("stranger", False), ("viewer", True), ("operator", True)):
        client.force_login(getattr(people, who))
        assert ("1 rated" in client.get(rows).content.decode()) is sees
        api = APIClient()
        api.force_authenticate(getattr(people, who))
        assert (api.get(path).json()["results"][0]["decision"] is not None) is sees
        detail = reverse("datasets:revision_detail", args=[draft.pk])
        assert client.get(detail).status_code == (200 if sees else 404)
    made = services.version_remap(
        version.pk, by=people.operator, wish=services.Wish("alpaca", version.columns)
    )
    made.lineage = {"kind": "edits", "source": "data v1", "part": "", "people": [{"name": "owner"}]}
    made.save()
    path = f"/api/v1/datasets/{made.dataset_id}/versions/{made.pk}/"
    assert "people" not in APIClient().get(path).json()["lineage"]


def test_the_api(people, make) -> None:
    version = make(GOOD).latest
    api = APIClient()
    api.force_authenticate(people.member)
    rows = f"/api/v1/datasets/{version.dataset_id}/versions/{version.pk}/rows/"
    value = {**GOOD[4], "output": "new"}
    sent = {"edition": 0, "verdict": "changed", "value": value, "rating": 3}
    answer = api.patch(f"{rows}5/", sent, format="json")
    assert answer.status_code == 200
    assert (answer.json()["edition"], answer.json()["value"]) == (1, value)
    assert api.patch(f"{rows}5/", sent, format="json").status_code == 409
    assert api.patch(f"{rows}5/", {"edition": 1, "verdict": "x"}, format="json").status_code == 400
    assert api.patch(f"{rows}31/", {"edition": 0, "rating": 1}, format="json").status_code == 422
    assert api.get(f"{rows}?from=5").json()["results"][0]["decision"]["value"] == value
    (revision,) = api.get(f"/api/v1/revisions/?version={version.pk}").json()["results"]
    assert revision["counts"] == {"accepted": 0, "changed": 1, "excluded": 0, "rated": 1}
    path = f"/api/v1/revisions/{revision['id']}/"
    (decision,) = api.get(f"{path}decisions/").json()["results"]
    assert (decision["number"], decision["by"]) == (5, "member")
    saved = api.post(f"{path}save/", {}, format="json")
    assert (saved.status_code, saved.json()["state"]) == (202, "saved")
    made = DatasetVersion.objects.get(pk=saved.json()["result"])
    assert values(made)[4] == value
    assert api.delete(path).status_code == 409
    api.force_authenticate(people.viewer)
    assert api.patch(f"{rows}5/", {"edition": 0, "rating": 1}, format="json").status_code == 404
