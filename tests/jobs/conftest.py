"""A project with a model, data of every shape and a node, all with real files."""

import json
from types import SimpleNamespace

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from datasets.services import dataset_create
from jobs import services
from jobs.models import Job
from nodes.models import Node
from registry.models import Model, ModelVersion
from tests.registry.parts import weights
from tests.services import engines_dir

ROWS = {
    "alpaca": [{"instruction": f"question {n}", "output": f"answer {n}"} for n in range(40)],
    "text": [{"text": f"text number {n}, long enough to be read"} for n in range(40)],
    "preference": [
        {"instruction": f"q {n}", "chosen": f"good {n}", "rejected": f"bad {n}"} for n in range(40)
    ],
    "kto": [
        {"instruction": f"q {n}", "output": f"a {n}", "kto_tag": n % 2 == 0} for n in range(40)
    ],
}
FITTING = {"pt": "text", "sft": "alpaca", "rm": "preference", "dpo": "preference", "kto": "kto"}


@pytest.fixture(autouse=True)
def home(tmp_path, settings):
    """Files of a test lie in a directory of its own."""
    settings.TRAINER_HOME = tmp_path / "home"
    for name in ("data", "models", "output", "temp", "logs"):
        (settings.TRAINER_HOME / name).mkdir(parents=True)
    settings.ENGINES_DIR = tmp_path / "engines"
    (settings.ENGINES_DIR / "llamafactory").mkdir(parents=True)
    facts = {
        "version": "0.9.5",
        "capabilities": {
            "gpu": False,
            "qlora": {"available": True, "missing": []},
            "quantise": {"available": False, "missing": ["gptqmodel", "optimum"]},
        },
    }
    (settings.ENGINES_DIR / "llamafactory" / "engine.json").write_text(json.dumps(facts))
    return settings.TRAINER_HOME


@pytest.fixture
def real_engine(settings):
    """The engine that is installed here."""
    settings.ENGINES_DIR = engines_dir()


@pytest.fixture
def node(db):
    """A machine without a GPU."""
    return Node.objects.create(
        name="here",
        cpu_count=2,
        memory_bytes=16 * 2**30,
        disk_bytes=100 * 2**30,
        heartbeat_at=timezone.now(),
        facts={"engines": ["llamafactory"]},
    )


@pytest.fixture
def base(db, home):
    """An enabled base model with files."""
    weights(home / "models" / "base")
    model = Model.objects.create(name="tiny")
    return ModelVersion.objects.create(
        model=model,
        kind="base",
        source="local",
        template="qwen3_nothink",
        path="models/base",
        parameters=5_000_000,
    )


@pytest.fixture
def data(people):
    """Ready data of every shape."""
    found = {}
    for shape, rows in ROWS.items():
        text = "".join(json.dumps(row) + "\n" for row in rows)
        upload = SimpleUploadedFile(f"{shape}.jsonl", text.encode())
        dataset = dataset_create(
            project=people.team, created_by=people.member, name=shape, upload=upload
        )
        version = dataset.versions.get()
        assert version.state == "ready", (version.state, version.report)
        found[shape] = version
    return SimpleNamespace(**found)


@pytest.fixture
def submit(people, base, data, node):
    """Submits a job of the team's researcher."""

    def make(kind="train", **more) -> Job:
        values = {"name": "a job", "model_version": base}
        if kind == "train":
            stage = more.setdefault("stage", "sft")
            values |= {"dataset_versions": [getattr(data, FITTING[stage])], "method": "lora"}
        elif kind == "evaluate":
            values["dataset_versions"] = [data.alpaca]
        return services.job_submit(
            project=people.team, created_by=people.member, kind=kind, **(values | more)
        )

    return make
