"""How the Docker Engine is reached, and what it means that it does not answer."""

from collections.abc import Iterator
from contextlib import contextmanager

import docker
from docker.errors import APIError, DockerException
from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError

from nodes.runners.base import Unreachable

LOOK_SECONDS = 5.0  # for an answer to a question


def connect(timeout: float) -> docker.DockerClient:
    """The Engine that DOCKER_HOST names. Raises `Unreachable`."""
    with answers():
        return docker.DockerClient.from_env(timeout=int(timeout))


@contextmanager
def answers() -> Iterator[None]:
    """`Unreachable` for an Engine without an answer, or with an error of its own.

    What it refuses (APIError) is left to the caller.
    """
    try:
        yield
    except APIError as error:
        if error.is_server_error():
            raise Unreachable(f"Docker has an error of its own: {said(error)}") from error
        raise
    except (RequestException, DockerException, HTTPError) as error:
        raise Unreachable(f"Docker does not answer: {error}") from error


def said(error: APIError) -> str:
    """What the Engine gave as its reason."""
    return str(error.explanation or error)
