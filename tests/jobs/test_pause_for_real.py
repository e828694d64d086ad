"""A real training on a real platform is paused, resumed and finished: one continuous curve."""

import json
import time

import pytest

from tests.e2e.running import Platform, Upload

pytestmark = pytest.mark.engine
ROWS = [{"instruction": f"question {n}", "output": f"answer {n}"} for n in range(32)]
SETTINGS = {
    "max_steps": 40,
    "per_device_train_batch_size": 2,
    "gradient_accumulation_steps": 1,
    "cutoff_len": 64,
    "logging_steps": 1,
    "save_steps": 1000,
}


def test_pause_and_resume_lose_no_step(platform: Platform) -> None:
    key = platform.keys.get("pia") or platform.register("pia")

    def call(method: str, path: str, body: object = None) -> dict:
        return platform.call(method, f"/api/v1/{path}", body, key)

    text = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    data = call("POST", "datasets/", Upload({"name": "pausable"}, "rows.jsonl", text))
    base = call("GET", "model-versions/?kind=base&source=demo")["results"][0]
    job = call(
        "POST",
        "jobs/",
        {
            "name": "pausable",
            "model_version": base["id"],
            "dataset_versions": [data["latest_version"]["id"]],
            "method": "lora",
            "settings": SETTINGS,
        },
    )
    path = f"jobs/{job['id']}/"
    deadline = time.monotonic() + 180
    while (row := call("GET", path))["step"] < 5:
        assert row["state"] in {"queued", "preparing", "running"}, row
        assert time.monotonic() < deadline, row
        time.sleep(0.2)
    call("POST", f"{path}pause/")
    paused = platform.until(f"/api/v1/{path}", key, {"paused", "failed", "succeeded"})
    assert paused["state"] == "paused", paused
    saved = call("GET", f"{path}checkpoints/")
    assert [point["is_present"] for point in saved] == [True]
    call("POST", f"{path}resume/", {})
    done = platform.until(f"/api/v1/{path}", key, {"succeeded", "failed", "paused"}, 240)
    assert done["state"] == "succeeded", done
    assert [row["resumed_step"] for row in done["attempts"]] == [0, saved[0]["step"]]
    points = call("GET", f"{path}metrics/")["points"]
    assert [p["step"] for p in points if "loss" in p["values"]] == list(range(1, 41))
    rates = [p["values"]["learning_rate"] for p in points if "learning_rate" in p["values"]]
    after = rates[rates.index(max(rates)) :]
    assert after == sorted(after, reverse=True), "the schedule went on where it was"
    assert done["output_version"]["kind"] == "adapter"
