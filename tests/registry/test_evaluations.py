"""Evaluations: scored from stored answers, and again without a model."""

import json

import pytest

from common.errors import Conflict, DomainError
from registry import presentation, rows, services
from registry.models import Evaluation
from tests.registry.parts import REFERENCES, answers


def test_scores_stand_beside_the_baselines(evaluated):
    assert evaluated.tuned.rows == 4
    assert evaluated.tuned.scores["exact_match"] == 75
    assert evaluated.base.scores["exact_match"] == 25
    assert evaluated.tuned.scores["loss"] == pytest.approx(0.65)
    against = evaluated.tuned.details["against"]["exact_match"]
    assert (against["better"], against["worse"], against["equal"]) == (2, 0, 2)
    found = {line.metric.key: line for line in presentation.lines(evaluated.tuned)}
    assert found["exact_match"].verdict == "good"
    assert found["loss"].verdict == "good"
    assert found["loss"].difference == pytest.approx(-3.5)
    assert "better than" in presentation.comparison(evaluated.tuned)


def test_scoring_the_same_answers_again_counts_once(people, evaluated):
    again = services.evaluation_create(
        project=people.team,
        created_by=None,
        version=evaluated.version,
        baseline=None,
        dataset_version_id=evaluated.tuned.dataset_version_id,
        dataset_label="x",
        settings={},
        predictions_path=evaluated.tuned.predictions_path,
    )
    assert again == evaluated.tuned
    assert Evaluation.objects.count() == 2


def test_scores_are_computed_anew_without_a_model(people, evaluated):
    before = dict(evaluated.tuned.scores)
    Evaluation.objects.filter(pk=evaluated.tuned.pk).update(scores={}, details={}, rows=0)
    evaluated.tuned.row_scores.unlink()
    again = services.evaluation_rescore(evaluated.tuned.pk, by=people.member)
    assert again.scores == before
    assert again.rows == 4
    assert again.row_scores.is_file()
    evaluated.tuned.predictions.unlink()
    with pytest.raises(Conflict):
        services.evaluation_rescore(evaluated.tuned.pk, by=people.member)
    with pytest.raises(Evaluation.DoesNotExist):
        services.evaluation_rescore(evaluated.tuned.pk, by=people.viewer)


def test_answers_that_cannot_be_read_leave_nothing(people, evaluated, home):
    path = home / "output" / "broken" / "x.jsonl"
    answers(path, [{"reference": "a", "prediction": "b"}])
    path.write_text(path.read_text() + "{broken\n")
    with pytest.raises(DomainError, match="line 2"):
        services.evaluation_create(
            project=people.team,
            created_by=None,
            version=evaluated.version,
            baseline=None,
            dataset_version_id=evaluated.tuned.dataset_version_id,
            dataset_label="x",
            settings={},
            predictions_path=path,
        )
    assert Evaluation.objects.count() == 2
    assert [one.name for one in path.parent.iterdir()] == ["x.jsonl"]


def test_rows_are_sorted_searched_and_paged(evaluated):
    places = rows.order(evaluated.tuned)
    found = rows.page(evaluated.tuned, places)
    assert [row.reference for row in found] == list(REFERENCES)
    assert found[1].baseline_prediction == "something else"
    assert found[1].is_exact
    assert not found[1].baseline_is_exact
    worst = rows.page(evaluated.tuned, rows.order(evaluated.tuned, sort="rougeL")[:1])
    assert worst[0].index == 3
    worst = rows.page(evaluated.tuned, rows.order(evaluated.tuned, sort="loss")[:1])
    assert worst[0].index == 3  # the highest loss
    best = rows.page(evaluated.tuned, rows.order(evaluated.tuned, sort="-loss")[:1])
    assert best[0].index == 0
    hits = rows.page(evaluated.tuned, rows.order(evaluated.tuned, search="FRONT"))
    assert [row.index for row in hits] == [2]
    differing = rows.page(evaluated.tuned, rows.order(evaluated.tuned, differing=True))
    assert [row.index for row in differing] == [1, 2]
    assert rows.order(evaluated.tuned, search="no such word") == []


def test_rows_survive_a_missing_file(evaluated):
    evaluated.tuned.predictions.unlink()
    assert rows.page(evaluated.tuned, rows.order(evaluated.tuned)) == []
    evaluated.tuned.row_scores.unlink()
    assert rows.order(evaluated.tuned, sort="rougeL") == []


def test_deleting_keeps_the_answers(people, evaluated, django_capture_on_commit_callbacks):
    scores = evaluated.tuned.row_scores
    with django_capture_on_commit_callbacks(execute=True):
        services.evaluation_delete(evaluated.tuned.pk, by=people.member)
    assert not scores.exists()
    assert evaluated.tuned.predictions.is_file()


def test_a_standing_names_the_best(people, evaluated):
    found = presentation.standing(evaluated.version.model, [evaluated.tuned])
    assert [bar.label for bar in found.bars] == ["base", "v1"]
    assert found.bars[1].look == "best"
    assert presentation.standing(evaluated.version.model, []) is None


def test_memory_is_bounded(people, evaluated, home):
    """60 MB of answers are scored with little more than their numbers in memory."""
    import tracemalloc

    from registry import scoring

    path = home / "output" / "large" / "x.jsonl"
    path.parent.mkdir()
    text, prompt = "a short answer", "x" * 20_000
    with path.open("w") as file:
        for index in range(3000):
            row = {"index": index, "reference": f"{text}{index}", "prediction": text, "loss": 1.0}
            file.write(json.dumps(row | {"tokens": 3, "prompt": prompt}) + "\n")
    tracemalloc.start()
    scored = scoring.score_file(path, path.with_suffix(".scores"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert scored.rows == 3000
    assert peak < 40 * 2**20
