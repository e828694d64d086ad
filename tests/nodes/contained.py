"""A node whose workloads run in containers of a real Docker Engine, with the small engine."""

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from nodes import services
from nodes.agent import Agent
from nodes.models import Image, Workload
from nodes.runners.description import name_of
from nodes.runners.images import fetch
from tests.dockerd import BASE, Engine, built
from tests.services import DOCKER_DIR

PREFIX = "trainer-"
SMALL = "llm-cloud-trainer/small:tests"
DOCKERFILE = f"""FROM {BASE}
COPY . /engine
LABEL trainer.engine=small trainer.description=/engine
ENTRYPOINT ["/usr/bin/python3", "-I", "-S", "/engine/small_engine.py"]
"""


@pytest.fixture(scope="session")
def docker_engine() -> Engine:
    """The Engine of the tests, which they may kill and start again."""
    return Engine(Path(DOCKER_DIR))


@pytest.fixture(scope="session")
def small_image(docker_engine) -> str:
    """The id of an image with the small engine."""
    small = Path(__file__).with_name("small_engine.py").read_text()
    facts = json.dumps({"name": "small", "version": "1"})
    files = {"Dockerfile": DOCKERFILE, "small_engine.py": small, "engine.json": facts}
    return built(docker_engine.client(), SMALL, files)


@pytest.fixture
def docker_host(docker_engine, small_image, monkeypatch) -> Iterator[docker.DockerClient]:
    """The Engine as the platform finds it; what the test leaves in it is taken away."""
    monkeypatch.setenv("DOCKER_HOST", docker_engine.host)
    yield docker_engine.client()
    for container in docker_engine.client().containers.list(all=True, ignore_removed=True):
        if container.name.startswith(PREFIX):
            container.remove(force=True, v=True)


def listed(reference: str = SMALL) -> Image:
    """The image on the operators' list, as a node would have fetched it."""
    image = services.image_build_begin(reference)
    ready = services.image_ready(image.pk, fetch(reference, lambda doing, percent: None))
    assert ready is not None
    return ready


@pytest.fixture
def contained(docker_host, settings, home, transactional_db) -> Iterator[Agent]:
    """The agent of a registered node that runs containers, with the small engine on the list."""
    settings.NODE_RUNNER = "docker"
    listed()
    agent = Agent(f"docker-{uuid.uuid4().hex[:8]}")
    agent.register()
    yield agent


@pytest.fixture
def container_of(docker_host) -> Callable[[Workload], Container]:
    """A workload's container."""

    def find(workload: Workload) -> Container:
        return docker_host.containers.get(name_of(workload.pk, workload.epoch))

    return find
