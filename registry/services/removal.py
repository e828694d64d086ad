"""Models and scores of a project that was deleted."""

import contextlib
import shutil
import time
from pathlib import Path

from django.conf import settings
from django.db.models import ProtectedError

from accounts.models import Project
from registry.models import Evaluation, Model, ModelVersion


def project_empty(project: Project, *, until: float) -> bool:
    """Removes the project's evaluations, models and their files; whether some are left.

    Files go first: a killed process leaves rows that the next call finds, and no files that nobody
    knows of. `until` is of the monotonic clock.
    """
    evaluations = Evaluation.objects.filter(project=project)
    versions = ModelVersion.objects.filter(model__project=project).order_by("-created_at")
    for evaluation in evaluations:
        if time.monotonic() > until:
            return True
        _evaluation_remove(evaluation)
    for version in versions:  # the newest first: they come from older ones
        if time.monotonic() > until:
            return True
        _version_remove(version)
    Model.objects.filter(project=project, versions=None).delete()
    return Model.objects.filter(project=project).exists()


def _evaluation_remove(evaluation: Evaluation) -> None:
    evaluation.row_scores.unlink(missing_ok=True)
    others = Evaluation.objects.filter(predictions_path=evaluation.predictions_path)
    if not others.exclude(pk=evaluation.pk).exists():
        evaluation.predictions.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            evaluation.predictions.parent.rmdir()  # unless something else lies there
    evaluation.delete()


def _version_remove(version: ModelVersion) -> None:
    others = ModelVersion.objects.filter(path=version.path).exclude(pk=version.pk)
    if version.path and not others.exists():
        shutil.rmtree(Path(settings.TRAINER_HOME) / version.path, ignore_errors=True)
    with contextlib.suppress(ProtectedError):  # of two that are equally old, the other goes first
        version.delete()
