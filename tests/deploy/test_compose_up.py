"""`compose.yaml` started for real: what it brings up trains, keeps in the bucket and answers.

Images of PostgreSQL, Redis and the store come from the internet; here `stand_ins/` takes their
place, made of Debian's PostgreSQL and Redis, and a simulated S3 server.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from tests.dockerd import BASE
from tests.docs.test_commands import commands
from tests.e2e.running import Platform, Upload
from tests.inference.parts import until
from tests.ports import free_port
from tests.services import DOCKER_DIR, ROOT

pytestmark = pytest.mark.docker
BUILD_BASE = os.environ.get("TRAINER_TEST_BUILD_BASE", BASE)
NODE_BASE = os.environ.get("TRAINER_TEST_NODE_BASE", "")
STAND_INS = "llm-cloud-trainer/stand-ins:tests"
PLATFORM = "llm-cloud-trainer/platform:tests"
ON_THE_HOST = ("--network", "host")  # for the packages; the tests' Engine has no other way out
PAGE = ROOT / "docs" / "operations.md"
PINNED = re.compile(r"^([\w.-]+)(?:\[.+\])?(==[^ ]+)", re.MULTILINE)
SECONDS = 900


def docker(*words: str, env: dict[str, str] | None = None) -> str:
    """The output of docker or docker-compose; AssertionError with what it said on failure."""
    done = subprocess.run(
        words,
        cwd=ROOT,
        env={**os.environ, "DOCKER_HOST": f"unix://{DOCKER_DIR}/docker.sock", **(env or {})},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout[-3000:]}{done.stderr[-5000:]}"
    return done.stdout


class Composed(Platform):
    """The platform that compose started."""

    def compose(self, *words: str) -> str:
        """The output of docker-compose."""
        return docker("docker-compose", "--project-name", "trainer-tests", *words, env=self.env)

    def manage(self, *arguments: str) -> str:
        """The output of a management command in one of its containers."""
        return self.compose("exec", "-T", "control", "python", "manage.py", *arguments)

    def prepare(self) -> None:
        """What the page says has to be done once, with the images that there are here."""
        here = ["--variant", "cpu", "--base", BASE, "--build-base", BUILD_BASE, *ON_THE_HOST]
        password = ["-e", "TRAINER_OPERATOR_PASSWORD=a-long-Passw0rd"]
        told = [line for line in commands(PAGE) if line.startswith("docker compose exec ")]
        assert told, PAGE
        for line in told:
            words = shlex.split(line)[3:]
            self.compose("exec", "-T", *password, *words, *(here if "image_build" in words else []))

    def base_model(self, folder: Path) -> str:
        """The id of a small base model, made by the engine's image and imported."""
        folder.chmod(0o777)  # the container's user is another
        shutil.copy(ROOT / "deploy" / "demo" / "corpus.txt", folder)
        make = ("demo-model", "--corpus", "/made/corpus.txt", "--out", "/made/small", "--seed", "1")
        mounted = ("--volume", f"{folder}:/made", "llm-cloud-trainer/llamafactory:cpu")
        docker("docker", "run", "--rm", "--network", "none", *mounted, *make)
        control = self.compose("ps", "--quiet", "control").strip()
        docker("docker", "cp", f"{folder}/small", f"{control}:/tmp/small")
        self.manage(
            "model_import", "--name", "small", "--path", "/tmp/small", "--template", "chatml"
        )
        known = self.call("GET", "/api/v1/model-versions/?kind=base", key=self.keys["lin"])
        return next(row["id"] for row in known["results"] if row["model"]["name"] == "small")

    def kept(self) -> list[str]:
        """The names of what lies in the bucket."""
        store = boto3.client(
            "s3",
            endpoint_url=self.env["S3_PUBLIC_ENDPOINT"],
            region_name="us-east-1",
            aws_access_key_id=self.env["S3_ACCESS_KEY"],
            aws_secret_access_key=self.env["S3_SECRET_KEY"],
        )
        pages = store.get_paginator("list_objects_v2").paginate(Bucket="trainer")
        return [row["Key"] for page in pages for row in page.get("Contents", [])]


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> None:
    """The platform's own image, and the one that stands in for others."""
    build = ("docker", "build", "--quiet", *ON_THE_HOST, "--build-arg")
    context = tmp_path_factory.mktemp("stand-ins")
    shutil.copytree(Path(__file__).with_name("stand_ins"), context, dirs_exist_ok=True)
    locked = PINNED.findall((ROOT / "requirements-dev.txt").read_text())
    (context / "constraints.txt").write_text("".join(f"{name}{pin}\n" for name, pin in locked))
    docker(*build, f"BASE={BUILD_BASE}", "--tag", STAND_INS, str(context))
    platform = ("--build-arg", f"NODE_BASE={NODE_BASE}", "--tag", PLATFORM, ".")
    file = ("--file", "deploy/images/platform/Dockerfile")
    docker(*build, f"BASE={BUILD_BASE}", *file, *platform)


@pytest.fixture(scope="module")
def composed(images, tmp_path_factory) -> Iterator[Composed]:
    """All of compose.yaml, and at the end nothing of it."""
    port, store = free_port(), free_port()
    env = {
        "PLATFORM_IMAGE": PLATFORM,
        "POSTGRES_IMAGE": STAND_INS,
        "REDIS_IMAGE": STAND_INS,
        "S3_IMAGE": STAND_INS,
        "TRAINER_SECRET_KEY": "a-key-that-only-tests-know-and-that-is-long-enough",
        "POSTGRES_PASSWORD": "tests",
        "S3_ACCESS_KEY": "simulated",
        "S3_SECRET_KEY": "simulated-too",
        "TRAINER_PORT": f"127.0.0.1:{port}",
        "S3_PORT": f"127.0.0.1:{store}",
        "S3_PUBLIC_ENDPOINT": f"http://127.0.0.1:{store}",
        "NODE_HOME": str(tmp_path_factory.mktemp("node")),
        "DOCKER_SOCKET": f"{DOCKER_DIR}/docker.sock",
        "COMPOSE_HTTP_TIMEOUT": "180",
    }
    running = Composed(Path(env["NODE_HOME"]), port, env)
    try:
        running.compose("up", "--detach", "--no-build")
        yield running
    finally:
        print(running.compose("logs", "--no-color", "--tail", "40"))
        running.compose("down", "--volumes", "--timeout", "20")


def test_it_trains_and_answers(composed, tmp_path) -> None:
    composed.prepare()
    key = composed.register("lin")
    rows = (ROOT / "deploy" / "demo" / "dataset.jsonl").read_bytes()
    made = composed.call(
        "POST", "/api/v1/datasets/", Upload({"name": "helpdesk"}, "rows.jsonl", rows), key
    )
    job = composed.call(
        "POST",
        "/api/v1/jobs/",
        {
            "kind": "train",
            "name": "short",
            "model_version": composed.base_model(tmp_path),
            "dataset_versions": [made["latest_version"]["id"]],
            "stage": "sft",
            "method": "full",
            "settings": {"max_steps": 4, "logging_steps": 1},
        },
        key,
    )
    ends = {"succeeded", "failed", "cancelled"}
    job = composed.until(f"/api/v1/jobs/{job['id']}/", key, ends, 300)
    assert job["state"] == "succeeded", json.dumps(job)
    points = composed.call("GET", f"/api/v1/jobs/{job['id']}/metrics/", key=key)["points"]
    assert [point["step"] for point in points if "loss" in point["values"]] == [1, 2, 3, 4]

    deployment = composed.call(
        "POST", "/api/v1/deployments/", {"version": job["output_version"]["id"]}, key
    )
    path = f"/api/v1/deployments/{deployment['id']}/"
    deployment = composed.until(path, key, {"ready", "failed", "stopped"})
    assert deployment["state"] == "ready", deployment
    asked = {
        "model": deployment["name"],
        "messages": [{"role": "user", "content": "Hello!"}],
        "max_tokens": 8,
    }
    answer = composed.call("POST", "/v1/chat/completions", asked, key)
    assert answer["choices"][0]["message"]["role"] == "assistant"
    assert answer["usage"]["completion_tokens"] > 0

    until(lambda: any(name.endswith("/model.safetensors") for name in composed.kept()))
    composed.call("POST", f"{path}stop/", key=key)
