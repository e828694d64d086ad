"""Evaluations: scores computed from stored answers, without a model."""

import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from django.db import transaction

from accounts.models import Project, User
from accounts.services import event_record
from common.commits import after_commit
from common.errors import Conflict, DomainError
from common.phrases import gettext as _
from registry import rows
from registry.metrics import BY_KEY
from registry.models import Evaluation, ModelVersion
from registry.services.names import below_home

if TYPE_CHECKING:
    from registry.scoring import Scored

COMPARED = ("rougeL", "exact_match", "chrf", "bleu", "loss")


def evaluation_create(
    *,
    project: Project,
    created_by: User | None,
    version: ModelVersion,
    baseline: Evaluation | None,
    dataset_version_id: uuid.UUID,
    dataset_label: str,
    settings: Mapping[str, object],
    predictions_path: str | Path,
) -> Evaluation:
    """Scores the stored answers of one version on one dataset version.

    `baseline` is the evaluation of the model to compare with, on the same rows. Scoring the same
    file again returns the evaluation that is there, so that a repeated task counts once. Raises
    `DomainError` when a line is not an answer.
    """
    path = below_home(predictions_path)
    found = Evaluation.objects.filter(version=version, predictions_path=path).first()
    if found is not None:
        return found
    evaluation = Evaluation(
        project=project,
        created_by=created_by,
        version=version,
        baseline=baseline,
        dataset_version_id=dataset_version_id,
        dataset_label=dataset_label[:120],
        settings=dict(settings),
        predictions_path=path,
    )
    _score(evaluation)
    with transaction.atomic():
        evaluation.save(force_insert=True)
        event_record(
            evaluation,
            project=project,
            actor=created_by,
            verb="evaluated",
            data={"version": str(version), "dataset": dataset_label},
        )
    return evaluation


def evaluation_rescore(evaluation_id: uuid.UUID, *, by: User) -> Evaluation:
    """Computes the scores anew from the stored answers; no model is needed."""
    evaluation = (
        Evaluation.objects.editable_by(by)
        .select_related("version__model", "baseline")
        .get(pk=evaluation_id)
    )
    if not evaluation.predictions.is_file():
        raise Conflict(_("The stored answers are gone, so that nothing can be scored again."))
    _score(evaluation)
    with transaction.atomic():
        evaluation.save(update_fields=["rows", "scores", "details"])
        event_record(evaluation, project=evaluation.project, actor=by, verb="rescored")
    return evaluation


@transaction.atomic
def evaluation_delete(evaluation_id: uuid.UUID, *, by: User) -> None:
    """Deletes an evaluation with its scores per row; the answers stay with the job."""
    evaluation = Evaluation.objects.editable_by(by).select_for_update().get(pk=evaluation_id)
    event_record(
        evaluation,
        project=evaluation.project,
        actor=by,
        verb="deleted",
        data={"dataset": evaluation.dataset_label},
    )
    scores = evaluation.row_scores
    evaluation.delete()
    after_commit(scores.unlink, missing_ok=True)


def _score(evaluation: Evaluation) -> None:
    """Fills in rows, scores and details, and writes the scores per row beside the answers."""
    from registry import scoring  # 60 MB of libraries that a web process has no use for

    baseline = evaluation.baseline
    draft = evaluation.row_scores.with_suffix(f".{os.getpid()}")
    try:
        scored = scoring.score_file(
            evaluation.predictions,
            draft,
            tokenize=baseline.details.get("tokenize") if baseline else None,
        )
        draft.replace(evaluation.row_scores)
    except (scoring.BadPredictions, OSError) as error:
        raise DomainError(
            _("The stored answers cannot be scored: %(reason)s.") % {"reason": error},
            code="bad_predictions",
        ) from error
    finally:
        draft.unlink(missing_ok=True)
    evaluation.rows = scored.rows
    evaluation.scores = scored.scores
    evaluation.details = _details(evaluation, scored)


def _details(evaluation: Evaluation, scored: "Scored") -> dict[str, object]:
    from registry import scoring

    details: dict[str, object] = {"tokenize": scored.tokenize, "intervals": scored.intervals}
    baseline = evaluation.baseline
    if baseline is not None and baseline.row_scores.is_file():
        details["against"] = {
            key: scoring.compare(
                rows.values(evaluation, key),
                rows.values(baseline, key),
                lower_is_better=BY_KEY[key].lower_is_better,
            )
            for key in COMPARED
        }
    return details
