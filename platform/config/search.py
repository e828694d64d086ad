"""Finding things by a part of their name."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet
from django.urls import reverse

from accounts.models import Project, User
from common.phrases import gettext as _
from datasets.models import Dataset, Recipe
from inference.models import Deployment
from jobs.models import Job
from registry.models import Model

SHOWN = 8


@dataclass(frozen=True)
class Hit:
    """Something found."""

    title: str
    note: str
    url: str


@dataclass(frozen=True)
class Group:
    """What was found of one kind; `more` says that there is more than is shown."""

    title: str
    icon: str
    hits: list[Hit]
    more: bool


def everything(user: User, text: str) -> list[Group]:
    """Datasets, recipes, models, jobs, deployments and projects the user may see, newest first."""
    if not text:
        return []
    named = Q(name__icontains=text)
    kinds: Iterable[tuple[str, str, QuerySet[Any], Callable[[Any], Hit]]] = (
        (_("Datasets"), "database", Dataset.objects.visible_to(user).filter(named), _dataset),
        (_("Recipes"), "brush-cleaning", Recipe.objects.visible_to(user).filter(named), _recipe),
        (
            _("Training and other jobs"),
            "graduation-cap",
            Job.objects.visible_to(user).filter(named | Q(output_name__icontains=text)),
            _job,
        ),
        (_("Models"), "boxes", Model.objects.visible_to(user).filter(named), _model),
        (
            _("Deployments"),
            "rocket",
            Deployment.objects.visible_to(user).filter(named),
            _deployment,
        ),
        (_("Projects"), "users", Project.objects.visible_to(user).filter(named), _project),
    )
    groups = []
    for title, icon, rows, hit in kinds:
        found = list(_with_project(rows)[: SHOWN + 1])
        if found:
            hits = [hit(row) for row in found[:SHOWN]]
            groups.append(Group(title, icon, hits, len(found) > SHOWN))
    return groups


def _with_project(rows: QuerySet[Any]) -> QuerySet[Any]:
    return rows if rows.model is Project else rows.select_related("project")


def _dataset(row: Dataset) -> Hit:
    return Hit(row.name, row.project.name, reverse("datasets:dataset_detail", args=[row.pk]))


def _recipe(row: Recipe) -> Hit:
    return Hit(row.name, row.project.name, reverse("datasets:recipe_detail", args=[row.pk]))


def _job(row: Job) -> Hit:
    note = f"{row.get_kind_display()} · {row.get_state_display()} · {row.project.name}"
    return Hit(row.name, note, reverse("jobs:job_detail", args=[row.pk]))


def _model(row: Model) -> Hit:
    note = row.project.name if row.project else _("base model")
    return Hit(row.name, note, reverse("registry:model_detail", args=[row.pk]))


def _deployment(row: Deployment) -> Hit:
    note = f"{row.get_state_display()} · {row.project.name}"
    return Hit(row.name, note, reverse("inference:deployment_detail", args=[row.pk]))


def _project(row: Project) -> Hit:
    return Hit(row.name, "", reverse("accounts:project_detail", args=[row.pk]))
