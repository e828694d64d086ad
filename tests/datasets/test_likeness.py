"""New rows too close to their origin or too far: by an embedding model, or by stretches."""

import json
from pathlib import Path

import numpy as np
import pytest
from django.urls import reverse
from model2vec import StaticModel
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from common.errors import DomainError
from config import checks
from datasets import services, tasks
from datasets.models import Recipe, RecipeRun
from datasets.recipes.likeness import embedded, similarity
from datasets.recipes.synonyms import SYNONYMS
from datasets.services.runlog import log_lines
from tests.datasets.conftest import jsonl

CLOSE, FAR, FITTING = "important", "problem", "quickly"  # other words for them mean as much, or not
STEP = {
    "kind": "augment",
    "parameters": {
        "kinds": ["synonyms"],
        "strength": 0.3,
        "least_alike": 0.2,
        "most_alike": 0.95,
    },
}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A model with a word for each word of the list: vectors by hand, nothing fetched."""
    directions = {CLOSE: (0, 0), FAR: (1, 3), FITTING: (4, 5)}
    vectors = {"[UNK]": np.zeros(8)}
    for word, (own, others) in directions.items():
        vectors[word] = np.eye(8)[own]
        for other in SYNONYMS[word]:
            vectors[other] = np.eye(8)[others] + (np.eye(8)[own] if word == FITTING else 0)
    tokenizer = Tokenizer(
        models.WordLevel({word: n for n, word in enumerate(vectors)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    folder = tmp_path_factory.mktemp("models") / "tiny"
    found = StaticModel(np.array(list(vectors.values()), dtype=np.float32), tokenizer)
    found.save_pretrained(folder)
    return folder


def test_meaning_not_letters(model) -> None:
    likeness = embedded(model)
    other = SYNONYMS[CLOSE][0]
    assert likeness(CLOSE, other) == pytest.approx(1)
    assert similarity(CLOSE, other) < 0.3
    assert likeness(FAR, SYNONYMS[FAR][0]) == 0
    assert likeness(FITTING, SYNONYMS[FITTING][0]) == pytest.approx(0.5**0.5)
    assert likeness(f"{CLOSE} {FAR}", CLOSE) == pytest.approx(0.5**0.5)
    assert likeness("", "") == likeness("zzz", "zzz") == 1  # no word that the model knows
    assert likeness("", CLOSE) == likeness("zzz", "yyy") == 0
    assert likeness(f"{CLOSE} " * 10_000, CLOSE) == pytest.approx(1)


@pytest.fixture
def run(people, make) -> RecipeRun:
    """A run that varies three rows, which waits."""
    rows = [{"instruction": word, "input": "", "output": "7"} for word in (CLOSE, FAR, FITTING)]
    version = make(jsonl(rows)).latest
    recipe = services.recipe_create(
        project=people.team, created_by=people.member, name="varied", steps=[STEP]
    )
    return services.run_create(recipe.pk, by=people.member, version_id=version.pk)


def _ended(run: RecipeRun) -> tuple[RecipeRun, str]:
    """The run at its end, and all that it said."""
    assert services.run_execute(run.pk)
    run.refresh_from_db()
    return run, " ".join(line["text"] for line in log_lines(run.log))


@pytest.mark.django_db
def test_a_run_by_meaning(run, model, settings) -> None:
    settings.EMBEDDING_MODEL_DIR = str(model)
    ended, said = _ended(run)
    assert (ended.state, ended.problem) == ("succeeded", "")
    assert ended.report[0]["dropped"] == {"too_close": 1, "too_far": 1}
    values = [json.loads(line) for line in ended.outputs.get().rows_path.open()]
    (made,) = [value for value in values if "origin" in value]
    assert made["instruction"] in SYNONYMS[FITTING]
    assert made["origin"] == "synonyms: 3"
    assert "by meaning, with the model tiny" in said


@pytest.mark.django_db
def test_a_run_by_stretches(run) -> None:
    ended, said = _ended(run)
    assert ended.report[0]["dropped"] == {"too_far": 3}  # other letters, whatever they mean
    assert "by their three-character stretches" in said


@pytest.mark.django_db
@pytest.mark.parametrize("broken", ["config.json", "model.safetensors", "tokenizer.json", ""])
def test_a_broken_model_is_named(run, model, settings, tmp_path, broken) -> None:
    folder = tmp_path / "broken"
    if broken:
        folder.mkdir()
        for path in model.iterdir():
            (folder / path.name).write_bytes(
                b"{nonsense" if path.name == broken else path.read_bytes()
            )
    settings.EMBEDDING_MODEL_DIR = str(folder)
    with pytest.raises(DomainError) as refused:
        embedded(folder)
    assert refused.value.code == "bad_embedding_model"
    ended, _said = _ended(run)
    assert ended.state == "failed"
    assert str(folder) in ended.problem
    assert "TRAINER_EMBEDDING_MODEL_DIR" in ended.problem


@pytest.mark.django_db
def test_pages_and_queue_do_not_hold_the_model(
    client, people, run, model, settings, monkeypatch
) -> None:
    """A run by meaning has a process of its own, a small one, too; trying it is by stretches."""
    settings.EMBEDDING_MODEL_DIR = str(model)
    started: list[object] = []
    monkeypatch.setattr(services, "run_start", started.append)
    tasks.recipe_run(str(run.pk))
    assert started == [run.pk]
    tried = services.recipe_preview(
        Recipe.objects.get().steps, run.source, by=run.created_by, seed=1
    )
    assert tried.outcomes[0].dropped == {"too_far": 3}
    client.force_login(people.member)
    page = reverse("datasets:recipe_detail", args=[Recipe.objects.get().pk])
    said = "a run compares them by meaning"
    assert said in client.get(page, {"version": run.source_id}).content.decode()
    settings.EMBEDDING_MODEL_DIR = ""
    assert said not in client.get(page, {"version": run.source_id}).content.decode()


def test_the_start_names_a_directory_that_is_not_there(settings, model, tmp_path) -> None:
    assert checks.the_embedding_model_is_there(None) == []
    settings.EMBEDDING_MODEL_DIR = str(model)
    assert checks.the_embedding_model_is_there(None) == []
    settings.EMBEDDING_MODEL_DIR = str(tmp_path / "none")
    (found,) = checks.the_embedding_model_is_there(None)
    assert found.id == "trainer.E003"
    assert "TRAINER_EMBEDDING_MODEL_DIR" in found.msg
