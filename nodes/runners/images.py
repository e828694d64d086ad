"""Images of a Docker Engine: finds, fetches and builds them, and reads what engines say in them.

An engine's image has an entrypoint whose first word is a Python, the label `trainer.engine` with
the engine's name, and the label `trainer.description` with the directory of its `engine.json`.
"""

import io
import json
import logging
import re
import tarfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, ImageNotFound, NotFound
from docker.models.images import Image
from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter
from requests.exceptions import Timeout
from urllib3.exceptions import ReadTimeoutError

from common.phrases import gettext as _
from nodes.runners.answers import LOOK_SECONDS, answers, connect, said
from nodes.runners.base import CannotStart, NoRoom
from nodes.runners.files import says_full

logger = logging.getLogger(__name__)

FETCH_SECONDS = 600.0  # without a word from the Engine
FIRST_SECONDS = 60.0  # without its first word, which it says when the registry has answered it
AGAIN_SECONDS = (3.0, 12.0)  # between the tries to fetch: a registry may be away for a moment
ENGINE_LABEL, DESCRIPTION_LABEL = "trainer.engine", "trainer.description"
DESCRIPTION = ("engine.json", "arguments.json", "templates.json", "catalogue.json")
ENGINE_NAME = re.compile(r"^[a-z0-9][a-z0-9-]{0,39}$")
STEP = re.compile(r"Step (\d+)/(\d+) : (.*)")
Tell = Callable[[str, int], None]  # what is being done, and the percentage done


class CannotFetch(Exception):
    """The image could not be had; the text says why."""


@dataclass(frozen=True, slots=True)
class Found:
    """An image that is on this machine."""

    id: str
    digest: str  # name@sha256:… in its registry; empty for one that was built here
    size: int
    engine: str
    description: dict[str, Any] = field(default_factory=dict)
    beside: frozenset[str] = frozenset()  # ids and digests of all that are on that machine


def held() -> frozenset[str]:
    """Ids and digests of all images that are here. Raises `Unreachable`."""
    with answers():
        return _held(connect(LOOK_SECONDS))


def _held(client: docker.DockerClient) -> frozenset[str]:
    images = client.api.images(all=True)  # those without a name that others stand on, too
    digests = (digest for image in images for digest in image.get("RepoDigests") or ())
    return frozenset({*digests, *(str(image["Id"]) for image in images)})


def present(*names: str) -> str:
    """The id of the first of these ids or references that is here; empty when none is."""
    client = connect(LOOK_SECONDS)
    for name in filter(None, names):
        with answers(), suppress(ImageNotFound):
            return str(client.images.get(name).id)
    return ""


def fetch(reference: str, tell: Tell) -> Found:
    """Pulls the image where it is not here yet. Raises `CannotFetch`, `NoRoom` or `Unreachable`."""
    client = connect(FETCH_SECONDS)
    for prefix, adapter in list(client.api.adapters.items()):
        client.api.mount(prefix, _Timely(adapter))
    with answers():
        try:
            try:
                image = client.images.get(reference)
            except ImageNotFound:
                image = _pulled(client, reference, tell, AGAIN_SECONDS)
            return _found(client, image)
        except APIError as error:
            raise _not_fetched(said(error)) from error


def _not_fetched(why: str) -> CannotFetch | NoRoom:
    return NoRoom(why) if says_full(why) else CannotFetch(why)


def _pulled(
    client: docker.DockerClient, reference: str, tell: Tell, again: tuple[float, ...]
) -> Image:
    """Pulls it, and tries again after so many seconds; what its registry does not have is final."""
    try:
        _pull(client, reference, tell)
        return client.images.get(reference)
    except (APIError, CannotFetch) as error:
        if not again or isinstance(error, NotFound):
            raise
        logger.warning("image %s: %s; tried again in %.0f s", reference, error, again[0])
    time.sleep(again[0])
    return _pulled(client, reference, tell, again[1:])


def _pull(client: docker.DockerClient, reference: str, tell: Tell) -> None:
    try:
        parts = client.api.pull(*_repository_and_tag(reference), stream=True, decode=True)
        _follow_pull(parts, tell)
    except (Timeout, ReadTimeoutError) as error:
        raise CannotFetch(_("its registry does not answer")) from error


class _Timely(BaseAdapter):
    """Gives up what stays silent: the Engine's client itself would wait for a pull for ever."""

    def __init__(self, adapter: BaseAdapter) -> None:
        super().__init__()
        self.adapter = adapter

    def send(self, request: PreparedRequest, **kwargs: Any) -> Response:  # type: ignore[override]
        """Waits for the first word, and then for each of the next."""
        response = self.adapter.send(request, **{**kwargs, "timeout": FIRST_SECONDS})
        if response.raw.connection is not None:  # more is to come
            response.raw.connection.sock.settimeout(FETCH_SECONDS)
        return response

    def close(self) -> None:
        """As its own."""
        self.adapter.close()


def _repository_and_tag(reference: str) -> tuple[str, str]:
    """The tag or digest apart from the name; an Engine without a tag would fetch all there are."""
    if "@" in reference:
        name, _, digest = reference.partition("@")
        return name, digest
    head, _, tail = reference.rpartition(":")
    return (head, tail) if head and "/" not in tail else (reference, "latest")


def _follow_pull(parts: Iterable[dict[str, Any]], tell: Tell) -> None:
    """Half of each layer's bytes is its download, half its unpacking."""
    layers: dict[str, tuple[float, float]] = {}
    for part in parts:
        if "error" in part:
            raise _not_fetched(str(part["error"]))
        status, layer = str(part.get("status", "")), str(part.get("id", ""))
        detail = part.get("progressDetail") or {}
        total = float(detail.get("total") or layers.get(layer, (0.0, 0.0))[1])
        if status in {"Downloading", "Extracting"} and total:
            half = 0.5 * float(detail.get("current") or 0)
            layers[layer] = (half + (0.5 * total if status == "Extracting" else 0.0), total)
        elif status in {"Pull complete", "Already exists"} and layer in layers:
            layers[layer] = (total, total)
        whole = sum(size for _done, size in layers.values())
        done = sum(part_done for part_done, _size in layers.values())
        tell(status, int(100 * done / whole) if whole else 0)


def build(
    folder: Path, dockerfile: str, reference: str, *, args: dict[str, str], network: str, tell: Tell
) -> Found:
    """Builds an image from a folder, with `tell` for each line. Raises `CannotFetch`."""
    client = connect(FETCH_SECONDS)
    step = 0
    with answers():
        try:
            parts = client.api.build(
                path=str(folder),
                dockerfile=dockerfile,
                tag=reference,
                buildargs=args,
                network_mode=network or None,
                rm=True,
                forcerm=True,
                decode=True,
            )
            for part in parts:
                if "error" in part:
                    raise CannotFetch(str(part["error"]).strip())
                line = str(part.get("stream", "")).rstrip()
                if match := STEP.match(line):
                    step = int(100 * (int(match[1]) - 1) / int(match[2]))
                if line:
                    tell(line, step)
            # An Engine may give it a digest, under which no registry has it.
            return replace(_found(client, client.images.get(reference)), digest="")
        except APIError as error:
            raise CannotFetch(said(error)) from error


def _found(client: docker.DockerClient, image: Image) -> Found:
    labels = image.labels or {}
    engine = str(labels.get(ENGINE_LABEL, ""))
    if not ENGINE_NAME.match(engine) or not image.attrs["Config"].get("Entrypoint"):
        raise CannotFetch(
            f"it is no engine's image: it needs the label {ENGINE_LABEL} and an entrypoint"
        )
    digests = image.attrs.get("RepoDigests") or [""]
    return Found(
        id=str(image.id),
        digest=str(digests[0]),
        size=int(image.attrs.get("Size") or 0),
        engine=engine,
        description=_description(client, image, str(labels.get(DESCRIPTION_LABEL, ""))),
        beside=_held(client),
    )


def _description(client: docker.DockerClient, image: Image, folder: str) -> dict[str, Any]:
    """The engine's own files as JSON, by name, out of a container that never runs."""
    if not folder:
        return {}
    found: dict[str, Any] = {}
    container = client.containers.create(str(image.id), network_mode="none")
    try:
        for name in DESCRIPTION:
            with suppress(NotFound):
                chunks, _facts = container.get_archive(f"{folder}/{name}")
                with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
                    file = archive.extractfile(name)
                    found[name] = json.loads(file.read()) if file else None
    except (ValueError, tarfile.TarError) as error:
        raise CannotFetch(f"its description in {folder} cannot be read: {error}") from error
    finally:
        container.remove(force=True)
    return found


def run_tool(image: str, command: list[str], folder: Path, read: Path, *, user: str) -> None:
    """Runs a short command of an engine without a network, in `folder`, beside the file `read`.

    Raises `CannotStart` with its last lines where it fails.
    """
    client = connect(FETCH_SECONDS)
    mounts = [
        docker.types.Mount("/workload", str(folder), type="bind"),
        docker.types.Mount("/input", str(read), type="bind", read_only=True),
    ]
    with answers():
        container = client.containers.create(
            image,
            command,
            user=user,
            working_dir="/workload",
            mounts=mounts,
            network_mode="none",
            init=True,
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true"],
            tmpfs={"/tmp": "size=1g,mode=1777,nosuid,nodev,exec"},  # noqa: S108  its own
            environment={"HOME": "/tmp", "USER": "trainer"},  # noqa: S108
        )
        try:
            container.start()
            if status := container.wait()["StatusCode"]:
                tail = container.logs(tail=5).decode("utf-8", "replace").strip()
                raise CannotStart(tail or f"status {status}")
        except APIError as error:
            raise CannotStart(said(error)) from error
        finally:
            container.remove(force=True)
