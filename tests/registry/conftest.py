"""Models, versions and evaluations with real files."""

import json
import uuid
from types import SimpleNamespace

import pytest

from registry import services
from tests import services as parts_here
from tests.registry.parts import REFERENCES, answers, base_model, publish


@pytest.fixture(autouse=True)
def home(tmp_path, settings):
    """Files of a test lie in a directory of its own."""
    settings.TRAINER_HOME = tmp_path / "home"
    for name in ("models", "output", "temp"):
        (settings.TRAINER_HOME / name).mkdir(parents=True)
    return settings.TRAINER_HOME


@pytest.fixture
def engine(tmp_path, settings):
    """What an installed engine tells of itself."""
    folder = tmp_path / "engines" / "llamafactory"
    folder.mkdir(parents=True)
    settings.ENGINES_DIR = folder.parent
    entries = [
        {"name": "Tiny-1B", "hf_id": "lab/tiny-1b", "ms_id": "", "template": "chatml"},
        {"name": "Tiny-1B-Chat", "hf_id": "lab/tiny-1b-chat", "ms_id": "Lab/tiny", "template": ""},
        {"name": "Odd", "hf_id": "lab/odd", "ms_id": "", "template": "unheard-of"},
    ]
    (folder / "catalogue.json").write_text(json.dumps(entries))
    told = {name: {} for name in ("chatml", "qwen3", "default")}
    (folder / "templates.json").write_text(json.dumps(told))
    return folder


@pytest.fixture
def real_engine(settings):
    """The engine that is installed here."""
    settings.ENGINES_DIR = parts_here.engines_dir()


@pytest.fixture
def evaluated(people, home):
    """A version evaluated beside its base on four rows: 3 right against 1."""
    base = base_model()
    version = publish(people, base=base)
    data = uuid.uuid4()
    found = {}
    for name, subject, right, loss in (("base", base, 1, 4.0), ("tuned", version, 3, 0.5)):
        rows = [
            {
                "reference": text,
                "prediction": text if index < right else "something else",
                "loss": loss + index / 10,
                "tokens": 4,
            }
            for index, text in enumerate(REFERENCES)
        ]
        path = answers(home / "output" / "answers" / f"{name}.jsonl", rows)
        found[name] = services.evaluation_create(
            project=people.team,
            created_by=people.member,
            version=subject,
            baseline=found.get("base"),
            dataset_version_id=data,
            dataset_label="helpdesk v1",
            settings={"temperature": 0},
            predictions_path=path,
        )
    return SimpleNamespace(version=version, base_version=base, **found)
