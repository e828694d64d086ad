"""Predicting, exporting and serving, with the models that the trainings made."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from .conftest import (
    PAIRS,
    Engine,
    Run,
    UnixConnection,
    finish,
    prepare,
    read_lines,
    run,
    serving,
)

pytestmark = pytest.mark.engine

MODEL = {"model_name_or_path": "inputs/model", "template": "qwen3_nothink"}


def test_predictions_and_losses_are_the_models(
    engine: Engine, shelf: Path, trained: Run, tmp_path: Path
) -> None:
    config = {
        "subjects": [
            {"name": "candidate", "model_name_or_path": "inputs/model"},
            {"name": "baseline", "model_name_or_path": "inputs/base"},
        ],
        "template": "qwen3_nothink",
        "dataset_dir": "inputs/data",
        "dataset": "few",
        "cutoff_len": 128,
        "max_new_tokens": 24,
        "temperature": 0,
        "batch_size": 3,
    }
    inputs = {"model": trained.folder / "output", "base": shelf / "model", "data": shelf / "data"}
    done = run(engine, "predict", prepare(tmp_path / "work", config, inputs))
    assert done.status == 0, done.errors
    rows = read_lines(done.folder / "output" / "candidate.jsonl")
    assert [row["index"] for row in rows] == list(range(len(PAIRS)))
    assert [row["reference"] for row in rows] == [answer for _, answer in PAIRS]
    assert [row["prediction"] for row in rows] == [answer for _, answer in PAIRS]
    assert {row["finish"] for row in rows} == {"stop"}
    assert rows[0]["messages"] == [{"role": "user", "content": "你好"}]
    candidate, baseline = done.result()["subjects"]
    assert candidate["loss"] == pytest.approx(
        sum(row["loss"] * row["tokens"] for row in rows) / sum(row["tokens"] for row in rows)
    )
    # the engine's own evaluation weighs batches, not tokens; with the same rows they are close
    assert candidate["loss"] == pytest.approx(trained.result()["metrics"]["eval_loss"], rel=0.2)
    assert baseline["loss"] > 3
    last = [row for row in done.metrics("phase") if row["name"] == "generating"][-1]
    assert (last["done"], last["total"]) == (len(PAIRS), len(PAIRS))


def test_a_merged_adapter_answers_as_before(
    engine: Engine, trained: Run, adapter: Run, tmp_path: Path
) -> None:
    assert adapter.status == 0, adapter.errors
    prompts = ["天空是什么颜色？", "Name a fruit."]
    config = MODEL | {"adapter_name_or_path": "inputs/adapter", "verify_prompts": prompts}
    inputs = {"model": trained.folder / "output", "adapter": adapter.folder / "output"}
    done = run(engine, "export", prepare(tmp_path / "work", config, inputs))
    assert done.status == 0, done.errors
    parity = done.result()["parity"]
    assert (parity["prompts"], parity["equal"]) == (2, 2)
    assert parity["max_logit_difference"] < 1e-3
    assert [answer["prompt"] for answer in parity["answers"]] == prompts
    assert (done.folder / "output" / "model.safetensors").exists()
    assert not (done.folder / "output" / "adapter_config.json").exists()


@pytest.fixture(scope="module")
def server(
    engine: Engine, trained: Run, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """A running model server's socket; it is stopped, and judged, at the end."""
    folder = tmp_path_factory.mktemp("serve") / "work"
    config = MODEL | {"model_name": "demo", "max_concurrent": 2, "max_model_len": 1024}
    prepare(folder, config, {"model": trained.folder / "output"})
    with serving(engine, folder, TRAINER_SERVE_KEY="secret") as process:
        yield folder / "serve.sock"
        os.killpg(process.pid, signal.SIGTERM)
        stopped = finish(process, folder, 30)
        assert stopped.status == 75
        assert stopped.result()["status"] == "stopped"


def ask(socket: Path, body: Any, *, key: str = "secret") -> tuple[int, dict[str, Any]]:
    """Send a request and return status and body."""
    connection = UnixConnection(socket)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def question(text: str, **more: Any) -> dict[str, Any]:
    return {
        "model": "demo",
        "messages": [{"role": "user", "content": text}],
        "temperature": 0,
        **more,
    }


def stream(socket: Path, body: dict[str, Any]) -> list[Any]:
    """Send a streaming request and return its events."""
    connection = UnixConnection(socket)
    headers = {"Authorization": "Bearer secret"}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
    text = connection.getresponse().read().decode()
    events = [event.removeprefix("data: ") for event in text.strip().split("\n\n")]
    assert events[-1] == "[DONE]"
    return [json.loads(event) for event in events[:-1]]


def test_a_plain_answer_is_complete(server: Path) -> None:
    status, body = ask(server, question("天空是什么颜色？"))
    assert status == 200
    assert body["object"] == "chat.completion"
    choice = body["choices"][0]
    assert choice["message"] == {
        "role": "assistant",
        "content": "晴天的天空是蓝色的。",
        "refusal": None,
    }
    assert choice["finish_reason"] == "stop"
    usage = body["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["completion_tokens"] >= 2
    status, body = ask(server, question("天空是什么颜色？", max_completion_tokens=1))
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["usage"]["completion_tokens"] == 1
    status, body = ask(server, question("Where is Paris?", stop=["capital"]))
    assert body["choices"][0]["message"]["content"] == "Paris is the "


def test_a_stream_is_the_plain_answer_in_whole_characters(server: Path) -> None:
    wild = question("北京", temperature=2, seed=11, max_tokens=120)
    _, plain = ask(server, wild)
    options = {"stream": True, "stream_options": {"include_usage": True}}
    events = stream(server, wild | options)
    assert events[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert {event["object"] for event in events} == {"chat.completion.chunk"}
    assert len({event["id"] for event in events}) == 1
    *chunks, last = events
    assert last["choices"] == []
    assert last["usage"] == plain["usage"]
    pieces = [chunk["choices"][0]["delta"].get("content", "") for chunk in chunks]
    assert "".join(pieces) == plain["choices"][0]["message"]["content"]
    assert chunks[-1]["choices"][0]["finish_reason"] == plain["choices"][0]["finish_reason"]
    sky = stream(server, question("天空是什么颜色？", stream=True))
    assert all("\ufffd" not in str(chunk) for chunk in sky)


@pytest.mark.parametrize(
    ("change", "status", "param"),
    [
        ({"model": "other"}, 404, "model"),
        ({"messages": []}, 400, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, 400, "messages[0].role"),
        ({"temperature": 9}, 400, "temperature"),
        ({"top_p": -1}, 400, "top_p"),
        ({"n": 2}, 400, "n"),
        ({"max_tokens": 0}, 400, "max_tokens"),
        ({"max_tokens": 100000}, 400, "max_tokens"),
        ({"stop": ["a", "b", "c", "d", "e"]}, 400, "stop"),
        ({"tools": [{"type": "function"}]}, 400, "tools"),
        ({"stream_options": {"include_usage": True}}, 400, "stream_options"),
    ],
)
def test_a_wrong_request_is_refused(
    server: Path, change: dict[str, Any], status: int, param: str
) -> None:
    got, body = ask(server, question("x") | change)
    assert got == status
    assert body["error"]["param"] == param
    assert body["error"]["type"] == "invalid_request_error"


def test_a_wrong_key_is_refused(server: Path) -> None:
    status, body = ask(server, question("x"), key="guess")
    assert (status, body["error"]["code"]) == (401, "invalid_api_key")


def test_answers_are_the_same_in_a_crowd(server: Path) -> None:
    asked = [question(text, max_tokens=40) for text, _ in PAIRS]
    asked += [
        question("北京 " * place, temperature=1.5, seed=place, max_tokens=10 * place)
        for place in range(1, 5)
    ]
    alone = [ask(server, body) for body in asked]
    with ThreadPoolExecutor(len(asked)) as pool:
        crowd = list(pool.map(lambda body: ask(server, body), asked))
    assert [status for status, _ in crowd] == [200] * len(asked)
    assert [body["choices"] for _, body in crowd] == [body["choices"] for _, body in alone]
    assert [body["usage"] for _, body in crowd] == [body["usage"] for _, body in alone]
    assert [body["choices"][0]["message"]["content"] for _, body in crowd[: len(PAIRS)]] == [
        answer for _, answer in PAIRS
    ]


def test_clients_that_leave_free_their_places(server: Path) -> None:
    endless = question("how", temperature=2, stream=True, max_tokens=900, frequency_penalty=-2)
    for seed in range(4):
        connection = UnixConnection(server)
        headers = {"Authorization": "Bearer secret"}
        body = json.dumps(endless | {"seed": seed})
        connection.request("POST", "/v1/chat/completions", body, headers)
        response = connection.getresponse()
        response.read(60)
        response.close()
        connection.close()
    started = time.monotonic()
    status, _ = ask(server, question("Hello", max_tokens=1))
    assert status == 200
    assert time.monotonic() - started < 3
