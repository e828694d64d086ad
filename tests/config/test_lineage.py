"""The lineage of a project: what is recorded, what is drawn, and what others may know of it."""

import re
import uuid
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import Membership, Project, Role
from config.lineage.asking import SHOWN, Wish, answer
from config.lineage.graph import Edge, Graph, Kind, Node, key_of
from config.lineage.layout import HEIGHT, WIDTH, draw
from datasets.models import Dataset, DatasetVersion, Import, RecipeRun
from datasets.services import project_empty
from inference.models import Deployment
from jobs.models import Job
from jobs.services import job_delete
from registry.models import Evaluation, Model, ModelVersion

CLEANED = {"recipe": "tidy", "steps": [], "seed": 1, "source": "raw v1", "inputs": [], "part": ""}


def version_of(dataset: Dataset, number: int = 1, **fields) -> DatasetVersion:
    return DatasetVersion.objects.create(
        dataset=dataset,
        number=number,
        state="ready",
        shape="alpaca",
        filename=f"{dataset.name}.jsonl",
        file_format="jsonl",
        rows=10,
        **fields,
    )


@pytest.fixture
def line(people) -> SimpleNamespace:
    """In `team`: a file, a version, a recipe, its version, a training, a model, a score, a service;
    the training also measures with data of a project that the members are not in.
    """
    team, elsewhere = people.team, Project.objects.create(name="elsewhere")
    raw = version_of(Dataset.objects.create(project=team, name="raw"))
    held = version_of(Dataset.objects.create(project=elsewhere, name="secret"))
    run = RecipeRun.objects.create(
        project=team, recipe_name="tidy", steps=[], seed=1, source=raw, source_name="raw v1",
        state="succeeded",
    )  # fmt: skip
    clean = version_of(raw.dataset, 2, parent=raw, run=run, lineage=CLEANED)
    base = Model.objects.create(name="Tiny")
    base_version = ModelVersion.objects.create(model=base, kind="base", source="local")
    job = Job.objects.create(
        project=team, name="teach", kind="train", model_version=base_version, state="succeeded"
    )
    job.datasets.create(dataset_version=clean)
    job.datasets.create(dataset_version=held, use="eval")
    tuned = ModelVersion.objects.create(
        model=Model.objects.create(project=team, name="helper"),
        kind="adapter",
        source="job",
        base=base_version,
        facts={"job": str(job.pk), "datasets": [{"id": str(clean.pk), "label": "raw v2"}]},
    )
    job.output_version = tuned
    job.save()
    score = Evaluation.objects.create(
        project=team, version=tuned, dataset_version_id=raw.pk, dataset_label="raw v1", rows=10,
        predictions_path="answers.jsonl",
    )  # fmt: skip
    service = Deployment.objects.create(project=team, name="front", version=tuned, state="stopped")
    return SimpleNamespace(
        raw=raw, held=held, run=run, clean=clean, base=base_version, job=job, tuned=tuned,
        score=score, service=service, elsewhere=elsewhere,
    )  # fmt: skip


def edges_by_title(graph: Graph) -> set[tuple[str, str]]:
    titles = {key: f"{node.kind.value} {node.title}" for key, node in graph.nodes.items()}
    return {(titles[edge.source], titles[edge.target]) for edge in graph.edges}


def test_edges_are_what_is_recorded(people, line):
    graph = answer(people.team, people.viewer, Wish()).graph
    assert edges_by_title(graph) == {
        ("file raw.jsonl", "data raw v1"),
        ("data raw v1", "run tidy"),
        ("run tidy", "data raw v2"),
        ("data raw v2", "training teach"),
        ("data in another project", "training teach"),
        ("model Tiny", "training teach"),
        ("training teach", "model helper v1"),
        ("data raw v1", "evaluation raw v1"),
        ("model helper v1", "evaluation raw v1"),
        ("model helper v1", "deployment front"),
    }
    measured = {edge.target for edge in graph.edges if edge.measures}
    assert measured == {key_of(Kind.TRAINING, line.job.pk), key_of(Kind.EVALUATION, line.score.pk)}


def test_what_one_may_not_see_has_neither_name_nor_number(client, people, line):
    client.force_login(people.viewer)
    for address in ("project_lineage", "api-project-lineage"):
        text = client.get(reverse(address, args=[people.team.pk])).content.decode()
        assert "secret" not in text
        assert str(line.held.pk) not in text
        assert str(line.held.dataset_id) not in text
    Membership.objects.create(project=line.elsewhere, user=people.viewer, role=Role.VIEWER)
    page = client.get(reverse("project_lineage", args=[people.team.pk])).content.decode()
    assert "secret v1" in page
    assert "elsewhere" in page


def test_what_is_gone_is_remembered_by_what_it_made(people, line):
    Deployment.objects.all().delete()
    job_delete(line.job.pk, by=people.owner)
    line.run.delete()
    line.clean.delete()
    graph = answer(people.team, people.viewer, Wish()).graph
    gone = {node.kind: node for node in graph.nodes.values() if node.is_gone}
    assert {Kind.TRAINING, Kind.DATA} == set(gone)
    assert gone[Kind.DATA].title == "raw v2"  # as the model remembers it
    assert not gone[Kind.DATA].url
    assert ("data raw v2", "training deleted") in edges_by_title(graph)
    assert ("training deleted", "model helper v1") in edges_by_title(graph)


def test_an_upload_comes_from_its_file_and_a_remapping_from_its_version(people):
    dataset = Dataset.objects.create(project=people.team, name="grown")
    first = version_of(dataset, sha256="a")
    version_of(dataset, 2, parent=first, sha256="b")  # uploaded after it
    version_of(dataset, 3, parent=first, sha256="a")  # the same file, with other columns
    edges = edges_by_title(answer(people.team, people.viewer, Wish()).graph)
    assert edges == {
        ("file grown.jsonl", "data grown v1"),
        ("file grown.jsonl", "data grown v2"),
        ("data grown v1", "data grown v3"),
    }


IMPORTED = (
    ("huggingface", {"repository": "fruits/poems", "revision": "main"}, "fruits/poems", "1a2b3c4"),
    ("modelscope", {"repository": "fruits/songs", "revision": "v2"}, "fruits/songs", ""),
    ("s3", {"path": "s3://box/a", "endpoint": "https://store.example", "region": "x"}, "s3://box/a",
     ""),
    ("directory", {"directory": "/shared", "path": "lists/tea"}, "/shared/lists/tea", ""),
)  # fmt: skip


def test_imported_data_comes_from_its_place(client, people):
    """Of its own kind, with address and revision, and nothing of the key it was fetched with."""
    for kind, reference, _place, revision in IMPORTED:
        version = version_of(Dataset.objects.create(project=people.team, name=f"of-{kind}"))
        Import.objects.create(
            project=people.team, kind=kind, reference=reference, revision=revision, version=version,
            state="succeeded", secret="sealed-key",
        )  # fmt: skip
        version_of(version.dataset, 2, parent=version, sha256="other")  # uploaded after it
    graph = answer(people.team, people.viewer, Wish()).graph
    assert edges_by_title(graph) == {
        *((f"{kind} {place}", f"data of-{kind} v1") for kind, _given, place, _at in IMPORTED),
        *((f"file of-{kind}.jsonl", f"data of-{kind} v2") for kind, *_rest in IMPORTED),
    }
    client.force_login(people.viewer)
    told = client.get(reverse("api-project-lineage", args=[people.team.pk])).json()["nodes"]
    notes = {node["kind"]: node["note"] for node in told if node["kind"] not in {"data", "file"}}
    assert notes == {
        "huggingface": "1a2b3c4", "modelscope": "v2", "s3": "store.example", "directory": "",
    }  # fmt: skip
    assert all(client.get(node["url"]).status_code == 200 for node in told)
    address = reverse("project_lineage", args=[people.team.pk])
    page = client.get(address).content.decode()
    assert page.count('class="node off place"') == len(IMPORTED)
    assert "sealed-key" not in page
    client.cookies["django_language"] = "zh-hans"
    assert "共享目录" in client.get(address, {"kind": "directory"}).content.decode()


def test_what_is_handed_over_goes_on_to_say_where_it_came_from(people):
    """Its project is deleted, and a job of another one learnt from it."""
    dataset = Dataset.objects.create(project=people.team, name="tea")
    version = version_of(dataset)
    used = Job.objects.create(
        project=Project.objects.create(name="elsewhere"),
        name="teach",
        kind="train",
        model_version=ModelVersion.objects.create(
            model=Model.objects.create(name="Tiny"), kind="base", source="local"
        ),
        state="succeeded",
    )
    used.datasets.create(dataset_version=version)
    for came in (version, None):
        Import.objects.create(
            project=people.team, kind="directory", reference={"path": "tea"}, version=came
        )
    assert not project_empty(people.team, until=float("inf"))
    dataset.refresh_from_db()
    assert [found.version for found in Import.objects.all()] == [version]
    graph = answer(dataset.project, people.operator, Wish()).graph
    assert ("directory tea", "data tea v1") in edges_by_title(graph)


def test_one_thing_with_its_past_and_its_future(people, line):
    other = version_of(Dataset.objects.create(project=people.team, name="other"))
    wish = Wish(at=key_of(Kind.DATA, line.clean.pk))
    titles = {node.title for node in answer(people.team, people.viewer, wish).graph.nodes.values()}
    assert "other v1" not in titles
    assert {"raw.jsonl", "raw v1", "tidy", "teach", "helper v1", "front"} <= titles
    assert "Tiny" not in titles  # no past of the data
    alone = answer(people.team, people.viewer, Wish(at=key_of(Kind.DATA, other.pk))).graph
    assert {node.title for node in alone.nodes.values()} == {"other v1", "other.jsonl"}
    assert not answer(people.team, people.viewer, Wish(at="data:nothing")).graph.nodes


def test_kinds_that_are_left_out_are_bridged(people, line):
    kinds = frozenset({Kind.DATA, Kind.MODEL})
    graph = answer(people.team, people.viewer, Wish(kinds=kinds)).graph
    assert ("data raw v1", "data raw v2") in edges_by_title(graph)
    assert ("data raw v2", "model helper v1") in edges_by_title(graph)
    assert {node.kind for node in graph.nodes.values()} == kinds


def test_a_large_project_answers_with_the_newest(client, people):
    dataset = Dataset.objects.create(project=people.team, name="many")
    versions = [
        DatasetVersion(dataset=dataset, number=n, state="ready", filename="a", file_format="jsonl")
        for n in range(1, 2501)
    ]
    DatasetVersion.objects.bulk_create(versions)  # with their files 5,000 nodes
    for version in versions[:10]:
        at = timezone.now() - timedelta(days=1)
        DatasetVersion.objects.filter(pk=version.pk).update(created_at=at)
    client.force_login(people.viewer)
    page = client.get(reverse("project_lineage", args=[people.team.pk]))
    assert len(page.context["drawing"].boxes) == SHOWN
    assert page.context["total"] == 5000
    assert not page.context["is_whole"]
    assert "250 of 5,000 things are drawn" in re.sub(r"\s+", " ", page.content.decode())
    assert " v5<" not in page.content.decode()
    api = reverse("api-project-lineage", args=[people.team.pk])
    assert len(client.get(api, {"limit": "9999"}).json()["nodes"]) == 1000
    assert len(client.get(api, {"q": "many v17"}).json()["nodes"]) == 222
    assert client.get(api, {"kind": "cat"}).status_code == 422


def test_the_number_of_queries_does_not_grow(people, line):
    def queries() -> int:
        with CaptureQueriesContext(connection) as caught:
            answer(people.team, people.viewer, Wish())
        return len(caught)

    few = queries()
    for number in range(30):
        fresh = version_of(line.raw.dataset, number + 10, parent=line.raw)
        job = Job.objects.create(
            project=people.team, name=f"n{number}", kind="train", model_version=line.tuned
        )
        job.datasets.create(dataset_version=fresh)
        job.datasets.create(dataset_version=line.held, use="eval")
    assert queries() == few
    assert few <= 15


def test_boxes_do_not_touch_and_edges_go_to_the_right():
    keys = [f"data:{n}" for n in range(40)]
    nodes = {key: Node(key, Kind.DATA, key) for key in keys}
    edges = {Edge(keys[n // 3], keys[n]) for n in range(3, 40)} | {Edge(keys[0], keys[39])}
    drawing = draw(Graph(nodes, edges))
    at = {box.node.key: (box.x, box.y) for box in drawing.boxes}
    assert len(at) == 40
    for key, (x, y) in at.items():
        assert 0 <= x <= drawing.width - WIDTH
        assert 0 <= y <= drawing.height - HEIGHT
        assert not [
            one for one, (ox, oy) in at.items() if one != key and ox == x and abs(oy - y) < HEIGHT
        ]
    assert all(at[edge.source][0] < at[edge.target][0] for edge in edges)
    assert len(drawing.lines) == len(edges)


def test_a_circle_that_cannot_be_is_drawn_all_the_same():
    nodes = {key: Node(key, Kind.DATA, key) for key in ("data:1", "data:2")}
    drawing = draw(Graph(nodes, {Edge("data:1", "data:2"), Edge("data:2", "data:1")}))
    assert len(drawing.boxes) == 2


def test_the_pages_of_things_lead_there(client, people, line):
    client.force_login(people.viewer)
    here = reverse("project_lineage", args=[people.team.pk])
    for url, key in (
        (
            reverse("datasets:version_use", args=[line.raw.dataset_id, line.raw.pk]),
            f"data:{line.raw.pk}",
        ),
        (reverse("registry:version_detail", args=[line.tuned.pk]), f"model:{line.tuned.pk}"),
        (reverse("jobs:job_detail", args=[line.job.pk]), f"training:{line.job.pk}"),
    ):
        assert f'href="{here}?at={key}"' in client.get(url).content.decode()
        page = client.get(here, {"at": key})
        assert page.context["centre"].key == key
        assert 'id="at"' in page.content.decode()
    project = client.get(reverse("accounts:project_detail", args=[people.team.pk]))
    assert f'href="{here}"' in project.content.decode()


@pytest.mark.parametrize(
    ("title", "parts"),
    [("qa v12", ("qa", "v12")), ("qa", ("qa", "")), ("my very own", ("my very own", ""))],
)
def test_a_version_stands_apart_from_its_name(title: str, parts: tuple[str, str]) -> None:
    assert Node("file:1", Kind.FILE, title).title_parts == parts


@pytest.mark.django_db
def test_of_what_is_shared_and_not_used_yet_nothing_is_drawn(client, people) -> None:
    client.force_login(people.stranger)
    own = people.stranger.personal_project
    here = reverse("project_lineage", args=[own.pk])
    page = client.get(here, {"at": f"data:{uuid.uuid4()}"}).content.decode()
    assert "Nothing was made of it here" in page
