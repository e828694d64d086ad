"""Answers to what the apps below ask."""

from typing import Any

from django.dispatch import receiver

from accounts.models import Project
from accounts.signals import Stage, project_contents, project_emptying
from common.phrases import ngettext
from registry import services
from registry.models import Evaluation, Model


@receiver(project_contents, dispatch_uid="registry.project_contents")
def tell_contents(sender: object, *, project: Project, **kwargs: Any) -> list[str]:
    """How many models and evaluations the project has."""
    models = Model.objects.filter(project=project).count()
    scores = Evaluation.objects.filter(project=project).count()
    told = [
        (
            models,
            ngettext("%(n)s model with its weights", "%(n)s models with their weights", models),
        ),
        (scores, ngettext("%(n)s evaluation", "%(n)s evaluations", scores)),
    ]
    return [text % {"n": number} for number, text in told if number]


@receiver(project_emptying, dispatch_uid="registry.project_emptying")
def empty(sender: object, *, project: Project, stage: Stage, until: float, **kwargs: Any) -> bool:
    """Removes models and scores when nothing above needs them any more."""
    return stage is Stage.THINGS and services.project_empty(project, until=until)
