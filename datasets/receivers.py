"""Answers to what the apps below ask."""

from typing import Any

from django.dispatch import receiver

from accounts.models import Project
from accounts.signals import (
    Stage,
    project_contents,
    project_emptying,
    project_usage,
    project_working,
)
from common.phrases import gettext as _
from common.phrases import ngettext
from datasets import services
from datasets.models import (
    Dataset,
    DatasetShare,
    DatasetVersion,
    Import,
    Recipe,
    RecipeRun,
    Revision,
)


@receiver(project_usage, dispatch_uid="datasets.project_usage")
def tell_storage(sender: object, *, project: Project, **kwargs: Any) -> dict[str, int]:
    """What the project's datasets store."""
    return {"storage_bytes": services.storage_used(project)}


@receiver(project_working, dispatch_uid="datasets.project_working")
def tell_checks(sender: object, *, project: Project, **kwargs: Any) -> list[str]:
    """Uploads still being checked, recipes and imports still running, decisions being saved."""
    checking = DatasetVersion.objects.filter(
        dataset__project=project, state=DatasetVersion.State.CHECKING
    )
    running = RecipeRun.objects.filter(project=project).active()
    saving = Revision.objects.filter(version__dataset__project=project, state=Revision.State.SAVING)
    return [
        *(
            _("“%(version)s” was just uploaded and is being checked. Wait for it.")
            % {"version": version}
            for version in checking.select_related("dataset")
        ),
        *(
            _("The recipe “%(run)s” still runs. Cancel it, or wait for it.") % {"run": run}
            for run in running
        ),
        *(
            _("The import of “%(place)s” still runs. Cancel it, or wait for it.")
            % {"place": found.place}
            for found in Import.objects.filter(project=project).active()
        ),
        *(
            _("Decisions on rows of “%(version)s” are being saved. Wait for it.")
            % {"version": revision.version}
            for revision in saving.select_related("version__dataset")
        ),
    ]


@receiver(project_contents, dispatch_uid="datasets.project_contents")
def tell_contents(sender: object, *, project: Project, **kwargs: Any) -> list[str]:
    """How many datasets and recipes the project has, and how many of its shares end."""
    datasets = Dataset.objects.filter(project=project).count()
    recipes = Recipe.objects.filter(project=project).count()
    shares = DatasetShare.objects.filter(dataset__project=project).count()
    told = [
        (datasets, ngettext("%(n)s dataset", "%(n)s datasets", datasets)),
        (recipes, ngettext("%(n)s recipe", "%(n)s recipes", recipes)),
        (
            shares,
            ngettext(
                "%(n)s share of a dataset with somebody else",
                "%(n)s shares of datasets with others",
                shares,
            ),
        ),
    ]
    return [text % {"n": number} for number, text in told if number]


@receiver(project_emptying, dispatch_uid="datasets.project_emptying")
def empty(sender: object, *, project: Project, stage: Stage, until: float, **kwargs: Any) -> bool:
    """Removes the datasets when no job of the project needs them any more."""
    return stage is Stage.THINGS and services.project_empty(project, until=until)
