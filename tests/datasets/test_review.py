"""Reviews: a queue for several people at once, their agreement, and what comes of it."""

import json
import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from common.errors import Conflict, DomainError
from datasets import services
from datasets.agreement import agreement_of, cohen_kappa, krippendorff_alpha, percent_agreement
from datasets.models import DatasetVersion, Revision, RowDecision
from datasets.models.edits import SETTLING
from datasets.statistics.indexes import Index
from tests.datasets.conftest import GOOD

ROWS = [{**row, "origin": "noise: 1", "score": n % 5} if n % 3 else row
        for n, row in enumerate(GOOD[:9])]  # fmt: skip


# --- agreement, with published figures ----------------------------------------------------------


def _units(*observers: str) -> list[dict]:
    """One string an observer; a dot where somebody said nothing."""
    return [
        {who: said for who, said in enumerate(column) if said != "."}
        for column in zip(*observers, strict=True)
    ]


def test_krippendorffs_own_examples() -> None:
    """Sections A and C of "Computing Krippendorff's Alpha-Reliability": 0.095 and 0.743."""
    binary = _units("0100000010", "1110010000")
    assert krippendorff_alpha(binary) == pytest.approx(0.095, abs=5e-4)
    four = _units("123321412...", "1233224125.3", ".3332342251.", "12332441251.")
    assert krippendorff_alpha(four) == pytest.approx(0.743, abs=5e-4)


def test_cohens_kappa() -> None:
    """A table of 20, 5, 10 and 15: observed 0.7, by chance 0.5."""
    table = [("y", "y")] * 20 + [("y", "n")] * 5 + [("n", "y")] * 10 + [("n", "n")] * 15
    assert cohen_kappa(table) == pytest.approx(0.4)
    assert percent_agreement([dict(enumerate(pair)) for pair in table]) == pytest.approx(0.7)


def test_where_nothing_can_be_said() -> None:
    assert (percent_agreement([]), krippendorff_alpha([{1: "a"}]), cohen_kappa([])) == (None,) * 3
    same = [{1: "a", 2: "a"}] * 3
    assert (percent_agreement(same), krippendorff_alpha(same)) == (1, None)
    assert cohen_kappa([("a", "a")] * 3) is None
    perfect = [{1: "a", 2: "a"}, {1: "b", 2: "b"}]
    assert krippendorff_alpha(perfect) == cohen_kappa([("a", "a"), ("b", "b")]) == 1


# --- the queue ----------------------------------------------------------------------------------


@pytest.fixture
def begin(people, make):
    """A review of a version of nine rows."""

    def go(**fields) -> Revision:
        version = fields.pop("version", None) or make(ROWS).latest
        return services.review_create(version.pk, by=people.owner, name="look", **fields)

    return go


def _next(review: Revision, who) -> RowDecision | None:
    return services.review_next(review.pk, by=who)


def _decide(review: Revision, who, verdict: str = "accepted", **fields) -> RowDecision:
    decision = services.review_next(review.pk, by=who)
    assert decision is not None
    return services.review_decide(review.pk, decision.pk, by=who, verdict=verdict, **fields)


@pytest.mark.django_db
def test_nobody_gets_the_row_of_another(people, begin) -> None:
    review = begin()
    one, other = _next(review, people.owner), _next(review, people.member)
    assert (one.row, other.row) == (0, 1)
    assert _next(review, people.owner).row == 0  # still the same
    _decide(review, people.owner)
    assert _next(review, people.owner).row == 2
    services.review_skip(review.pk, other.pk, by=people.member)
    assert _next(review, people.member).row == 3
    with pytest.raises(Conflict):  # it is free now
        services.review_decide(review.pk, other.pk, by=people.member, verdict="accepted")
    # Who goes away for long loses the row to the next one, and is told.
    stale = _next(review, people.member)
    RowDecision.objects.filter(pk=stale.pk).update(
        claimed_at=timezone.now() - timedelta(minutes=11)
    )
    _decide(review, people.owner)
    assert _next(review, people.owner).pk == stale.pk
    with pytest.raises(Conflict) as refused:
        services.review_decide(review.pk, stale.pk, by=people.member, verdict="accepted")
    assert refused.value.code == "taken"


@pytest.mark.django_db
@pytest.mark.parametrize("wanted", [1, 2])
def test_what_was_skipped_comes_at_the_end(people, begin, wanted) -> None:
    review = begin(wanted=wanted)
    first = _next(review, people.owner)
    services.review_skip(review.pk, first.pk, by=people.owner)
    rows = []
    while _next(review, people.owner):
        rows.append(_decide(review, people.owner).row)
    assert rows == [*range(1, 9), 0]


@pytest.mark.django_db
def test_several_reviewers_disputes_and_undo(people, begin) -> None:
    review = begin(wanted=2, sample=9)
    for who, verdicts in (
        (people.owner, "aaeraaaaa"),
        (people.member, "araraaaaa"),
    ):
        for place, verdict in enumerate(verdicts):
            value = {**ROWS[place], "output": "better"} if verdict == "e" else None
            words = {"a": "accepted", "e": "changed", "r": "excluded"}
            assert _decide(review, who, words[verdict], value=value).row == place
    assert _next(review, people.member) is None  # who took part does not settle
    settles = _next(review, people.owner)  # unless it is who began it
    assert (settles.row, settles.seat) == (1, SETTLING)
    found = agreement_of(review)
    assert (found["compared"], found["agreement"]) == (9, pytest.approx(7 / 9))
    assert 0 < found["kappa"] < 1
    with pytest.raises(Conflict) as refused:
        services.revision_save(review.pk, by=people.owner)
    assert refused.value.code == "disputed"
    # The last one of the member is taken back and becomes a dispute, and none again.
    undone = services.review_undo(review.pk, by=people.member)
    assert undone.row == 8
    services.review_decide(review.pk, undone.pk, by=people.member, verdict="excluded")
    assert review.decisions.disputed().count() == 3
    services.review_undo(review.pk, by=people.member)
    assert review.decisions.disputed().count() == 2
    _decide(review, people.member)
    _decide(review, people.owner, "excluded")
    _decide(review, people.owner, "changed", value={**ROWS[2], "output": "settled"})
    with pytest.raises(Conflict) as refused:
        RowDecision.objects.filter(seat=0, row=1).update(decided_at=timezone.now())
        RowDecision.objects.filter(seat=SETTLING).update(by=people.member)
        services.review_undo(review.pk, by=people.owner)
    assert refused.value.code == "settled"


@pytest.mark.django_db
def test_a_finished_review_is_a_version(people, begin, django_capture_on_commit_callbacks) -> None:
    review = begin(column="score", below=3)
    rows = list(review.decisions.values_list("row", flat=True))
    assert rows == [n for n in range(9) if n % 3 and n % 5 < 3]
    _decide(review, people.member)
    _decide(review, people.member, "excluded", note="wrong")
    _decide(review, people.owner, "changed", value={**ROWS[rows[2]], "output": "new"})
    with django_capture_on_commit_callbacks(execute=True):
        review = services.revision_save(review.pk, by=people.owner)
    made = review.result
    values = [json.loads(line) for line in made.rows_path.read_text("utf-8").splitlines()]
    wanted = [row for n, row in enumerate(ROWS) if n != rows[1]]
    wanted[rows[2] - 1] = {**ROWS[rows[2]], "output": "new"}
    assert values == wanted
    lineage = made.lineage
    assert (lineage["kind"], lineage["name"], lineage["source"]) == ("review", "look", "data v1")
    assert lineage["counts"] == {"accepted": 1, "excluded": 1, "changed": 1}
    assert lineage["people"] == [
        {"name": "member", "accepted": 1, "excluded": 1},
        {"name": "owner", "changed": 1},
    ]
    with pytest.raises(Conflict):
        _next(review, people.owner)


@pytest.mark.django_db
def test_what_nobody_decided_on_may_go(people, begin, django_capture_on_commit_callbacks) -> None:
    review = begin()
    with pytest.raises(DomainError) as refused:
        services.revision_save(review.pk, by=people.owner)
    assert refused.value.code == "nothing"
    _decide(review, people.member)
    with django_capture_on_commit_callbacks(execute=True):
        made = services.revision_save(review.pk, by=people.owner, keeps_rest=False).result
    assert made.rows_path.read_bytes().count(b"\n") == 1


@pytest.mark.django_db
def test_a_column_of_a_big_version_is_gone_through_first(
    begin, make, monkeypatch, client, people
) -> None:
    """The refusal asks for it; when it is done the review begins."""
    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr("datasets.services.indexes.SMALL", 0)
    monkeypatch.setattr(
        "datasets.services.indexes.async_task", lambda *what, **_more: asked.append(what)
    )
    version = make(ROWS).latest
    with pytest.raises(Conflict) as refused:
        begin(version=version, column="score", below=3)
    assert (refused.value.code, refused.value.data) == ("waiting", {"percent": 0})
    assert [one[:3] for one in asked] == [
        ("datasets.tasks.rows_index", str(version.pk), ["score", ""])
    ]
    client.force_login(people.owner)
    page = reverse("datasets:review_create", args=[version.dataset_id, version.pk])
    given = {"name": "low", "wanted": 1, "column": "score", "below": 3}
    answer = client.post(page, given)
    assert (answer.status_code, "begins by itself" in answer.content.decode()) == (200, True)
    assert services.index_make(version.pk, Index("score"))
    answer = client.post(page, given, headers={"HX-Request": "true"})
    review = Revision.objects.get(version=version)
    assert answer["HX-Redirect"] == reverse("datasets:revision_detail", args=[review.pk])
    services.revision_discard(review.pk, by=people.owner)
    low = begin(version=version, column="score", below=3)
    scores = [ROWS[row].get("score") for row in low.decisions.values_list("row", flat=True)]
    assert scores == [row["score"] for row in ROWS if row.get("score", 3) < 3]
    assert begin(version=version, column="score").decisions.count() == sum(
        "score" in row for row in ROWS
    )


@pytest.mark.django_db
def test_what_cannot_be_reviewed(people, begin, make, monkeypatch) -> None:
    version = make(ROWS).latest
    for fields, field in (
        ({"wanted": 4}, "wanted"),
        ({"sample": 0}, "sample"),
        ({"column": "nothing"}, "column"),
    ):
        with pytest.raises(DomainError) as refused:
            begin(version=version, **fields)
        assert refused.value.field == field
    monkeypatch.setattr("datasets.services.reviews.ROWS_MAX", 5)
    with pytest.raises(DomainError) as refused:
        begin(version=version)
    assert refused.value.code == "too_many"
    assert begin(version=version, sample=5).decisions.count() == 5
    review = begin(version=version, sample=2)
    for who in (people.viewer, people.developer, people.stranger):
        with pytest.raises(Revision.DoesNotExist):
            _next(review, who)
    with pytest.raises(DomainError):
        _decide(review, people.member, "")
    with pytest.raises(DomainError):
        _decide(review, people.member, "changed", value={"instruction": "x"})
    assert _decide(review, people.member, "changed", value=ROWS[_next(review, people.member).row])
    assert review.decisions.get(by=people.member).verdict == "accepted"  # nothing was changed


@pytest.mark.django_db(transaction=True)
def test_two_reviewers_at_once(people, begin) -> None:
    """Both work through the same queue at the same time: every row is decided on once."""
    review = begin()
    done: list[int] = []

    def work(who) -> None:
        try:
            while (decision := _next(review, who)) is not None:
                services.review_decide(review.pk, decision.pk, by=who, verdict="accepted")
                done.append(decision.row)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=[who]) for who in (people.owner, people.member)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == list(range(9))
    assert review.decisions.filter(verdict="accepted").count() == 9


# --- pages and API ------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_way_through_the_pages(client, people, make) -> None:
    version = make(ROWS).latest
    client.force_login(people.member)
    create = reverse("datasets:review_create", args=[version.dataset_id, version.pk])
    assert client.get(create).status_code == 200
    assert client.post(create, {"name": "", "wanted": "1"}).status_code == 422
    client.post(create, {"name": "first look", "wanted": "2", "sample": "3", "column": "origin"})
    review = Revision.objects.get()
    overview = reverse("datasets:revision_detail", args=[review.pk])
    assert "Nothing decided yet" in client.get(overview).content.decode()
    versions = reverse("datasets:version_list", args=[version.dataset_id])
    assert "first look" in client.get(versions).content.decode()
    url = reverse("datasets:review_row", args=[review.pk])
    page = client.get(url)
    decision = page.context["decision"]
    assert 'data-key="a"' in page.content.decode()
    assert "0 of 6 decisions made" in page.content.decode()
    assert client.post(url, {"act": "accept", "decision": decision.pk})["Location"] == url
    late = client.post(url, {"act": "reject", "decision": decision.pk})
    assert late.status_code == 422
    assert "not yours any more" in late.content.decode()
    page = client.get(f"{url}?edit=1")
    following, form = page.context, page.context["form"]
    assert page.content.decode().count("autofocus") == 1
    sent = {"act": "edit", "decision": following["decision"].pk, "edition": "0", "note": "nicer",
            "text-0": "question", "text-1": "", "text-2": "<better>"}  # fmt: skip
    assert [role for role, _field in form.said] == ["user", "user", "assistant"]
    part = client.post(url, sent, headers={"HX-Request": "true"})
    assert "2 of 6 decisions made" in part.content.decode()
    assert "<html" not in part.content.decode()
    undone = client.post(url, {"act": "undo"}, headers={"HX-Request": "true"})
    assert undone.context["decision"].pk == following["decision"].pk
    assert client.post(url, sent).status_code == 302
    assert review.decisions.filter(note="nicer").count() == 1
    skipped = {"act": "skip", "decision": client.get(url).context["decision"].pk}
    assert client.post(url, skipped).status_code == 302
    last = client.get(url).context["decision"]
    client.post(url, {"act": "reject", "decision": last.pk})
    assert "No row waits for you" in client.get(url).content.decode()
    client.force_login(people.owner)
    for _row in range(3):
        client.post(url, {"act": "accept", "decision": client.get(url).context["decision"].pk})
    assert "Reviewers disagree on 2 rows" in client.get(overview).content.decode()
    client.force_login(people.member)  # who began it settles
    settles = client.get(url)
    assert "you settle it" in settles.content.decode()
    assert "&lt;better&gt;" in settles.content.decode()
    save = reverse("datasets:revision_save", args=[review.pk])
    assert client.post(save, {"rest": "keep"})["Location"] == overview
    for _row in range(2):
        client.post(url, {"act": "reject", "decision": client.get(url).context["decision"].pk})
    shown = client.get(overview).content.decode()
    assert "33 %" in shown
    assert f'<a class="btn btn-outline" href="{url}">' in shown  # making the version comes next
    client.post(save, {"rest": "drop"})
    made = DatasetVersion.objects.get(number=2)
    assert made.rows == 1
    assert client.get(url)["Location"] == overview
    use = client.get(reverse("datasets:version_use", args=[made.dataset_id, made.pk]))
    assert "reviewed: first look" in use.content.decode()
    client.force_login(people.viewer)
    assert client.get(overview).status_code == 200
    assert client.get(url).status_code == 404


@pytest.mark.django_db
def test_the_api(people, make) -> None:
    version = make(ROWS).latest
    api = APIClient()
    api.force_authenticate(people.member)
    made = api.post(
        "/api/v1/revisions/", {"version": str(version.pk), "name": "x", "sample": 2}, format="json"
    )
    assert (made.status_code, made.json()["kind"], made.json()["plan"]["rows"]) == (
        201,
        "review",
        2,
    )
    path = f"/api/v1/revisions/{made.json()['id']}"
    row = api.post(f"{path}/next/").json()
    assert (row["value"], row["settles"]) == (ROWS[row["number"] - 1], False)
    skip = {"decision": row["decision"], "verdict": "skipped"}
    assert api.post(f"{path}/decide/", skip, format="json").status_code == 200
    assert api.post(f"{path}/decide/", skip, format="json").status_code == 409
    for _row in range(2):
        number = api.post(f"{path}/next/").json()["decision"]
        sent = {"decision": number, "verdict": "accepted"}
        assert api.post(f"{path}/decide/", sent, format="json").json()["verdict"] == "accepted"
    assert api.post(f"{path}/next/").json()["decision"] is None
    assert api.post(f"{path}/undo/").json()["verdict"] == ""
    agreement = api.get(f"{path}/agreement/").json()
    assert agreement == {
        "compared": 0, "agreement": None, "alpha": None, "kappa": None, "disputed": 0,
    }  # fmt: skip
    services.row_decide(version.pk, 0, by=people.member, edition=0, rating=1)
    draft = Revision.objects.drafts().get()
    assert api.post(f"/api/v1/revisions/{draft.pk}/next/").status_code == 404
