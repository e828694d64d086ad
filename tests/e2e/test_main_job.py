"""The demo's own path against a really started platform, with the real engine."""

import importlib.util
import json
import time
from types import ModuleType

import psutil
import pytest

from tests.e2e.running import Platform
from tests.services import ROOT

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def demo() -> ModuleType:
    """The demo's script as a module."""
    spec = importlib.util.spec_from_file_location("demo_run", ROOT / "deploy" / "demo" / "run.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _client(demo: ModuleType, platform: Platform, name: str) -> object:
    client = demo.Client(platform.url)
    client.key = platform.keys.get(name) or platform.register(name)
    return client


def test_from_data_to_a_conversation(demo: ModuleType, platform: Platform) -> None:
    """Upload to chat: at least 9 of 10 answers are the taught ones."""
    demo.main_job(_client(demo, platform, "mia"))


def test_a_training_survives_its_worker_and_its_agent(demo: ModuleType, platform: Platform) -> None:
    """kill -9 of worker and agent in the middle: one process, one attempt, one continuous curve."""
    client = _client(demo, platform, "mia")
    data = demo.dataset(client, "survivor")
    base = client.call("GET", "/api/v1/model-versions/?kind=base&source=demo")["results"][0]
    recipe = json.loads((ROOT / "deploy" / "demo" / "train.json").read_text("utf-8"))
    recipe["settings"] |= {"num_train_epochs": 6, "logging_steps": 1}
    job = client.call(
        "POST",
        "/api/v1/jobs/",
        {
            "kind": "train",
            "name": "survivor",
            "model_version": base["id"],
            "dataset_versions": [data["id"]],
            **recipe,
        },
    )
    path = f"/api/v1/jobs/{job['id']}/"
    deadline = time.monotonic() + 180
    while (row := client.call("GET", path))["step"] < 3:
        assert time.monotonic() < deadline, row
        time.sleep(0.2)
    killed = [*platform.parts("manage.py", "node_agent"), *platform.parts("manage.py", "qcluster")]
    assert len(killed) >= 2
    for process in killed:
        process.kill()
    psutil.wait_procs(killed, 10)
    done = platform.until(path, client.key, {"succeeded", "failed", "cancelled"})
    assert done["state"] == "succeeded", done
    points = client.call("GET", f"{path}metrics/")["points"]
    steps = [point["step"] for point in points if "loss" in point["values"]]
    assert steps == list(range(1, done["total_steps"] + 1))
    assert len(done["attempts"]) == 1
    assert platform.parts("trainer_runtime", "train") == []
