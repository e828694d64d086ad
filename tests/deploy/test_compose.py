"""compose.yaml and the platform's image: what they name is there, and the roles are kept apart."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.services import ROOT

PLATFORM = ("migrate", "web", "control", "storage", "node-worker", "node-agent")
DOCKERFILE = ROOT / "deploy" / "images" / "platform" / "Dockerfile"
VARIABLE = re.compile(r"\$\{(\w+)(?::?([-?])([^}]*))?\}")
REQUIRED = {"TRAINER_SECRET_KEY", "POSTGRES_PASSWORD", "S3_ACCESS_KEY", "S3_SECRET_KEY"}


@pytest.fixture(scope="module")
def services() -> dict:
    return yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]


def given() -> dict[str, str]:
    """What .env.example says, with the empty places filled in."""
    lines = (ROOT / ".env.example").read_text().splitlines()
    pairs = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    return {name: value or f"filled-{name.lower()}" for name, value in pairs.items()}


def substituted(text: str) -> str:
    """As compose would read it."""
    values = given()
    return VARIABLE.sub(lambda found: values.get(found[1]) or found[3] or "", str(text))


def test_all_of_it_is_there(services) -> None:
    assert set(services) == {"postgres", "redis", "s3", *PLATFORM}


def test_everything_asked_for_is_explained() -> None:
    text = (ROOT / "compose.yaml").read_text()
    asked = {found[1] for found in VARIABLE.finditer(text) if found[2] == "?"}
    assert asked == REQUIRED
    assert set(given()) >= REQUIRED
    assert not set(given()) - {found[1] for found in VARIABLE.finditer(text)}


def test_images_are_named_with_a_version(services) -> None:
    for name, service in services.items():
        _image, colon, tag = substituted(service["image"]).rpartition(":")
        assert colon, name
        assert tag not in {"", "latest"}, name


def test_settings_know_every_variable(services) -> None:
    known = (
        "".join(path.read_text() for path in (ROOT / "platform" / "config").glob("*.py"))
        + "Q_CLUSTER_NAME"
    )
    for name in PLATFORM:
        for variable in services[name]["environment"]:
            assert variable in known or variable.startswith("TRAINER_S3_"), (name, variable)


@pytest.mark.parametrize("name", PLATFORM)
def test_each_part_starts_with_its_settings(services, name, tmp_path) -> None:
    service = services[name]
    env = {variable: substituted(value) for variable, value in service["environment"].items()} | {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{ROOT}:{ROOT / 'platform'}",
    }
    env["TRAINER_HOME"] = str(tmp_path)
    code = (
        "import django; from django.conf import settings; django.setup();"
        "d = settings.DATABASES['default'];"
        "print(d['HOST'], 'pool' in d['OPTIONS'], settings.S3_BUCKET, bool(settings.CONTROL_URL))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=env | {"DJANGO_SETTINGS_MODULE": "config.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    node = name.startswith("node-")
    wanted = ["postgres", str(name == "web"), *([] if node else ["trainer"]), str(node)]
    assert done.stdout.split() == wanted


def test_commands_are_ours(services) -> None:
    found = {path.stem for path in ROOT.glob("*/management/commands/*.py")}
    found |= {path.stem for path in ROOT.glob("platform/config/management/commands/*.py")}
    found |= {"qcluster", "migrate", "createcachetable"}
    for name in PLATFORM:
        words = " ".join(services[name]["command"])
        for command in re.findall(r"manage\.py (\w+)", words):
            assert command in found, (name, command)


def test_the_node_shares_nothing_and_survives(services) -> None:
    for name in PLATFORM:
        service = services[name]
        assert service["init"] is True, name
        volumes = [substituted(volume) for volume in service["volumes"]]
        if not name.startswith("node-"):
            assert volumes == ["home:/srv/trainer"], name
            continue
        assert not [volume for volume in volumes if volume.startswith("home:")]
        inside = [volume.split(":") for volume in volumes]
        # The Docker Engine mounts paths of the machine: they must be the same in here.
        assert all(outer == inner for outer, inner in inside)
        assert service["environment"]["TRAINER_RUNNER"] == "docker"
    for name in ("control", "node-worker"):  # a worker ends its present task first
        assert services[name]["stop_grace_period"] == "150s"


def test_the_image_is_made_of_what_is_there() -> None:
    text = DOCKERFILE.read_text()
    ignored = set((ROOT / ".dockerignore").read_text().split())
    for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert source.removeprefix("./") not in ignored
    assert {".git", ".env", "var", ".venv"} <= ignored


def test_compose_itself_reads_it(tmp_path) -> None:
    compose = _compose()
    if not compose:
        pytest.skip("neither `docker compose` nor `docker-compose` is installed")
    file = tmp_path / "env"
    file.write_text("".join(f"{name}={value}\n" for name, value in given().items()))
    words = [*compose, "-f", str(ROOT / "compose.yaml"), "--env-file", str(file), "config"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert set(yaml.safe_load(done.stdout)["services"]) >= set(PLATFORM)
    with_gpus = ROOT / "compose.gpu.yaml"
    done = subprocess.run(
        [*words[:-3], "-f", str(with_gpus), *words[-3:]],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    agent = yaml.safe_load(done.stdout)["services"]["node-agent"]
    assert "count: all" in with_gpus.read_text() and agent["pid"] == "host"
    devices = agent["deploy"]["resources"]["reservations"]["devices"]
    assert [one["capabilities"] for one in devices] == [["utility"]]
    assert agent["command"] == ["python", "manage.py", "node_agent"]
    (tmp_path / "empty").touch()
    words[words.index(str(file))] = str(tmp_path / "empty")
    refused = subprocess.run(
        words, capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]}
    )
    assert refused.returncode != 0
    assert ".env.example" in refused.stderr


def _compose() -> list[str]:
    docker = shutil.which("docker")
    if docker:
        asked = subprocess.run([docker, "compose", "version"], capture_output=True, check=False)
        if asked.returncode == 0:
            return [docker, "compose"]
    old = shutil.which("docker-compose")
    return [str(Path(old))] if old else []
