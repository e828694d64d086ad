"""The graph of a project as it is recorded: nothing is guessed.

Edges are foreign keys and what versions, models and scores keep in words of what they came from.
The number of queries does not grow with the project; of each kind the newest `LOADED` are read.
"""

import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from django.db.models import BooleanField, ExpressionWrapper, F, Q, QuerySet
from django.urls import reverse

from accounts.models import Project, User
from common.phrases import gettext as _
from common.phrases import ngettext
from config.lineage.graph import Edge, Graph, Kind, Node, key_of, kind_of
from datasets.models import MADE, DatasetVersion, Import, RecipeRun, RemovedVersion
from inference.models import Deployment
from jobs.models import Job, JobDataset
from registry.models import Evaluation, ModelVersion

LOADED = 10_000
DATA_STATES = {"ready": "ok", "broken": "no", "checking": "run", "mapping": "wait"}
RUN_STATES = {"succeeded": "ok", "failed": "no", "running": "run", "waiting": "wait"}
JOB_STATES = {"succeeded": "ok", "failed": "no", "stopped": "off", "cancelled": "off"}
SERVICE_STATES = {"ready": "ok", "failed": "no", "stopped": "off"}


def project_graph(project: Project, reader: User) -> "Collected":
    """All that the project holds and the reader sees, and what other things it was made from."""
    found = Collected(project, reader)
    found.removed()
    found.data()
    found.runs()
    found.jobs()
    found.models()
    found.evaluations()
    found.deployments()
    return found


class Collected:
    """A graph whose edges may still name things of other projects, and things that are gone.

    `named` gives these their nodes, for as many as are drawn.
    """

    def __init__(self, project: Project, reader: User) -> None:
        self.graph = Graph()
        self.of = (project, reader)
        self.labels: dict[str, str] = {}  # of things that may be gone, as others remember them
        self.is_cut = False
        self.adopted: set[str] = set()  # ids whose source is a version that was deleted

    def _rows(self, rows: QuerySet[Any], *fields: Any, **named: Any) -> Iterator[dict[str, Any]]:
        found = rows.order_by("-created_at", "pk").values("pk", "created_at", *fields, **named)
        for place, row in enumerate(found[: LOADED + 1]):
            if place == LOADED:
                self.is_cut = True
                return
            yield row

    def _add(self, kind: Kind, which: object, title: str, url: str, **facts: Any) -> str:
        node = _node(kind, which, title, url, **facts)
        self.graph.nodes[node.key] = node
        return node.key

    def _gone(self, kind: Kind, which: object, title: str = "") -> str:
        """A node for what others remember and nobody can open any more."""
        key = key_of(kind, which)
        self.graph.nodes.setdefault(key, _gone(kind, key, title))
        return key

    def _edge(self, source: str, target: str, *, measures: bool = False) -> None:
        self.graph.edges.add(Edge(source, target, measures))

    def removed(self) -> None:
        """Versions that were deleted, with the places that they had."""
        project, _reader = self.of
        rows = self._rows(
            RemovedVersion.objects.filter(project=project),
            *("name", "parent_id", "run_id", "children", "runs"),
        )
        for row in rows:
            key = key_of(Kind.DATA, row["pk"])
            gone = _gone(Kind.DATA, key, row["name"])
            self.graph.nodes[key] = replace(gone, at=row["created_at"])
            if row["run_id"]:
                self._edge(key_of(Kind.RUN, row["run_id"]), key)
            elif row["parent_id"]:
                self._edge(key_of(Kind.DATA, row["parent_id"]), key)
            for child in row["children"]:
                self._edge(key, key_of(Kind.DATA, child))
            for run in row["runs"]:
                self._edge(key, key_of(Kind.RUN, run))
            self.adopted |= {*row["children"], *row["runs"]}

    def data(self) -> None:
        """Dataset versions, the files that were uploaded or the places that they were imported
        from, and what they were made from.
        """
        project, _reader = self.of
        rows = self._rows(
            DatasetVersion.objects.filter(dataset__project=project),
            *("dataset_id", "dataset__name", "number", "state", "rows", "filename", "files"),
            *("parent_id", "run_id", "imports__pk", "imports__kind", "imports__reference"),
            *("imports__revision", "imports__created_at"),
            is_made=ExpressionWrapper(MADE, output_field=BooleanField()),
            recipe=F("lineage__recipe"),
            source=F("lineage__source"),
        )
        for row in rows:
            key = self._add(Kind.DATA, **_data_facts(row))
            if row["run_id"]:
                self._edge(key_of(Kind.RUN, row["run_id"]), key)
            elif row["recipe"]:
                made = self._gone(Kind.RUN, f"of-{row['pk']}", row["recipe"])
                self._edge(made, key)
                self._edge(self._parent(row), made)
            elif row["imports__pk"]:
                self._edge(self._place(row), key)
            elif row["parent_id"] and row["is_made"]:
                self._edge(key_of(Kind.DATA, row["parent_id"]), key)
            elif str(row["pk"]) not in self.adopted:
                self._edge(self._file(row), key)

    def _parent(self, row: dict[str, Any]) -> str:
        if row["parent_id"]:
            return key_of(Kind.DATA, row["parent_id"])
        return self._gone(Kind.DATA, f"before-{row['pk']}", row["source"])

    def _file(self, row: dict[str, Any]) -> str:
        count = len(row["files"])
        note = ngettext("%(n)s file", "%(n)s files", count) % {"n": count} if count else ""
        return self._add(
            Kind.FILE,
            row["pk"],
            row["filename"],
            "datasets:version_use",
            at_url=[row["dataset_id"], row["pk"]],
            at=row["created_at"],
            note=note,
        )

    def _place(self, row: dict[str, Any]) -> str:
        """Where imported data came from. Its keys were never part of what is kept of that."""
        kind, reference = row["imports__kind"], row["imports__reference"]
        endpoint = urlsplit(reference.get("endpoint", "")).hostname or ""
        return self._add(
            Kind(kind),
            row["imports__pk"],
            Import(kind=kind, reference=reference).place,
            "datasets:import_detail",
            at_url=[row["imports__pk"]],
            at=row["imports__created_at"],
            note=row["imports__revision"] or reference.get("revision") or endpoint,
        )

    def runs(self) -> None:
        """Recipe runs of the project, and others' on its data that the reader sees."""
        project, reader = self.of
        runs = RecipeRun.objects.visible_to(reader).filter(
            Q(project=project) | Q(source__dataset__project=project)
        )
        fields = ("recipe_name", "state", "source_id", "source_name", "project__name", "project_id")
        for row in self._rows(runs, *fields):
            key = self._add(
                Kind.RUN,
                row["pk"],
                row["recipe_name"],
                "datasets:run_detail",
                at_url=[row["pk"]],
                at=row["created_at"],
                note=self._elsewhere(row),
                state=RUN_STATES.get(row["state"], "off"),
                state_text=str(RecipeRun.State(row["state"]).label),
            )
            if row["source_id"]:
                self._edge(key_of(Kind.DATA, row["source_id"]), key)
            elif str(row["pk"]) not in self.adopted:
                self._edge(self._gone(Kind.DATA, f"on-{row['pk']}", row["source_name"]), key)
        inputs = RecipeRun.inputs.through.objects.filter(reciperun__in=runs)
        for run, version in inputs.values_list("reciperun_id", "datasetversion_id")[:LOADED]:
            self._edge(key_of(Kind.DATA, version), key_of(Kind.RUN, run))

    def jobs(self) -> None:
        """Trainings and exports of the project, and others' with its data that the reader sees."""
        project, reader = self.of
        of_project = JobDataset.objects.filter(dataset_version__dataset__project=project)
        jobs = Job.objects.visible_to(reader).filter(
            Q(project=project) | Q(pk__in=of_project.values("job")),
            kind__in=(Job.Kind.TRAIN, Job.Kind.EXPORT),
        )
        fields = ("name", "kind", "state", "model_version_id", "output_version_id")
        kinds = {Job.Kind.TRAIN: Kind.TRAINING, Job.Kind.EXPORT: Kind.EXPORT}
        keys = {}
        for row in self._rows(jobs, *fields, "project__name", "project_id"):
            key = keys[row["pk"]] = self._add(
                kinds[row["kind"]],
                row["pk"],
                row["name"],
                "jobs:job_detail",
                at_url=[row["pk"]],
                at=row["created_at"],
                note=self._elsewhere(row),
                state=JOB_STATES.get(row["state"], "run"),
                state_text=str(Job.State(row["state"]).label),
            )
            self._edge(key_of(Kind.MODEL, row["model_version_id"]), key)
            if row["output_version_id"]:
                self._edge(key, key_of(Kind.MODEL, row["output_version_id"]))
        used = JobDataset.objects.filter(job__in=jobs).exclude(use=JobDataset.Use.AFTER)
        for job, version, use in used.values_list("job_id", "dataset_version_id", "use"):
            if job in keys:
                measures = use == JobDataset.Use.EVAL
                self._edge(key_of(Kind.DATA, version), keys[job], measures=measures)

    def models(self) -> None:
        """Model versions. What made one is remembered by it, also when the job was deleted."""
        project, _reader = self.of
        rows = self._rows(
            ModelVersion.objects.filter(model__project=project),
            *("model__name", "number", "kind", "base_id", "produced_by"),
            job=F("facts__job"),
            learnt=F("facts__datasets"),
        )
        for row in rows:
            key = self._add(Kind.MODEL, **_model_facts(row))
            if row["produced_by"]:
                continue  # the job's edges say it
            if row["job"]:
                made = self._gone(Kind.TRAINING if row["learnt"] else Kind.EXPORT, row["job"])
                self._edge(made, key)
                for data in row["learnt"] or ():
                    version = key_of(Kind.DATA, data["id"])
                    self.labels[version] = data["label"]
                    self._edge(version, made)
                key = made
            if row["base_id"]:
                self._edge(key_of(Kind.MODEL, row["base_id"]), key)

    def evaluations(self) -> None:
        """Scores of a model version on a dataset version."""
        project, _reader = self.of
        fields = ("dataset_version_id", "dataset_label", "version_id", "rows")
        for row in self._rows(Evaluation.objects.filter(project=project), *fields):
            count = row["rows"]
            key = self._add(
                Kind.EVALUATION,
                row["pk"],
                row["dataset_label"],
                "registry:evaluation_detail",
                at_url=[row["pk"]],
                at=row["created_at"],
                state="ok",
                note=ngettext("%(n)s row", "%(n)s rows", count) % {"n": count},
            )
            version = key_of(Kind.DATA, row["dataset_version_id"])
            self.labels[version] = row["dataset_label"]
            self._edge(key_of(Kind.MODEL, row["version_id"]), key)
            self._edge(version, key, measures=True)

    def deployments(self) -> None:
        """What is or was in service."""
        project, _reader = self.of
        fields = ("name", "version_id", "state")
        for row in self._rows(Deployment.objects.filter(project=project), *fields):
            key = self._add(
                Kind.DEPLOYMENT,
                row["pk"],
                row["name"],
                "inference:deployment_detail",
                at_url=[row["pk"]],
                at=row["created_at"],
                state=SERVICE_STATES.get(row["state"], "run"),
                state_text=str(Deployment.State(row["state"]).label),
            )
            self._edge(key_of(Kind.MODEL, row["version_id"]), key)

    def _elsewhere(self, row: dict[str, Any]) -> str:
        return "" if row["project_id"] == self.of[0].pk else str(row["project__name"])

    def named(self, keys: Iterable[str]) -> Graph:
        """These nodes and the edges among them. Of things that are not the project's those are
        named that the reader may see.
        """
        wanted = set(keys)
        drawn = self.graph.only(wanted)
        unknown = sorted(wanted - set(drawn.nodes))
        self._name(drawn, Kind.DATA, DatasetVersion, _data_facts, unknown)
        self._name(drawn, Kind.MODEL, ModelVersion, _model_facts, unknown)
        for place, key in enumerate(unknown, start=1):
            if key not in drawn.nodes:
                drawn.rename(key, _unseen(kind_of(key), place))
        return drawn

    def _name(
        self,
        drawn: Graph,
        kind: Kind,
        of: type[DatasetVersion] | type[ModelVersion],
        facts: Callable[[dict[str, Any]], dict[str, Any]],
        unknown: list[str],
    ) -> None:
        """Names those of this kind that the reader sees, and those that are gone."""
        ids = {uuid.UUID(key.partition(":")[2]): key for key in unknown if kind_of(key) is kind}
        if not ids:
            return
        owner = "dataset" if kind is Kind.DATA else "model"
        there = of.objects.filter(pk__in=ids)
        fields = [
            f"{owner}_id",
            f"{owner}__name",
            f"{owner}__project__name",
            "number",
            "created_at",
        ]
        fields += ["state", "rows"] if kind is Kind.DATA else ["kind"]
        for row in there.visible_to(self.of[1]).values("pk", *fields):
            known = facts(row) | {"note": row[f"{owner}__project__name"] or _("for everybody")}
            drawn.nodes[ids[row["pk"]]] = _node(kind, **known)
        for pk in set(ids) - set(there.values_list("pk", flat=True)):
            drawn.nodes[ids[pk]] = _gone(kind, ids[pk], self.labels.get(ids[pk], ""))


def _node(kind: Kind, which: object, title: str, url: str, at_url: list[Any], **facts: Any) -> Node:
    return Node(key_of(kind, which), kind, title, url=reverse(url, args=at_url), **facts)


def _gone(kind: Kind, key: str, title: str) -> Node:
    word = _("deleted")
    return Node(key, kind, title or word, state_text=word, is_gone=True)


def _unseen(kind: Kind, place: int) -> Node:
    """Neither its name nor its number is the reader's to know."""
    key = key_of(kind, f"unseen-{place}")
    return Node(key, kind, _("in another project"), state_text=_("not yours to see"))


def _data_facts(row: dict[str, Any]) -> dict[str, Any]:
    count = row["rows"]
    return {
        "which": row["pk"],
        "title": f"{row['dataset__name']} v{row['number']}",
        "url": "datasets:version_rows",
        "at_url": [row["dataset_id"], row["pk"]],
        "at": row["created_at"],
        "note": ngettext("%(n)s row", "%(n)s rows", count) % {"n": count} if count else "",
        "state": DATA_STATES.get(row["state"], "off"),
        "state_text": str(DatasetVersion.State(row["state"]).label),
    }


def _model_facts(row: dict[str, Any]) -> dict[str, Any]:
    name, kind = row["model__name"], ModelVersion.Kind(row["kind"])
    return {
        "which": row["pk"],
        "title": name if kind == ModelVersion.Kind.BASE else f"{name} v{row['number']}",
        "url": "registry:version_detail",
        "at_url": [row["pk"]],
        "at": row["created_at"],
        "note": str(kind.label),
        "state": "ok",
    }
