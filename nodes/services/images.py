"""The list of images that may run: operators keep it, nodes fetch what stands on it."""

import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django_q.tasks import async_task

from accounts.models import User
from accounts.services import event_record
from common.engines import IMAGES
from common.errors import Conflict, DomainError
from common.phrases import gettext as _
from nodes.models import Image, Node, Workload
from nodes.services.choices import choose, images_here, images_on_nodes, local_id

if TYPE_CHECKING:
    from nodes.runners.images import Found

State = Image.State
REFERENCE = re.compile(
    r"^(?=.{1,255}$)[a-z0-9]([a-z0-9._-]*[a-z0-9])?(:[0-9]+)?(/[a-z0-9]([a-z0-9._-]*[a-z0-9])?)*"
    r"(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(@sha256:[0-9a-f]{64})?$"
)


def _move(
    image: Image, to: str, *, by: User | None = None, reason: str = "", **fields: object
) -> None:
    """The one door for an image's state; the caller holds the row."""
    if to not in Image.MOVES[image.state]:
        raise Conflict(
            _("An image that is “%(old)s” cannot become “%(new)s”.")
            % {"old": State(image.state).label, "new": State(to).label}
        )
    old, image.state = image.state, to
    for name, value in {"doing": "", "percent": 0, "error": "", **fields}.items():
        setattr(image, name, value)
    image.save()
    _record(image, by, "state", old, to, reason)


def _record(
    image: Image, by: User | None, verb: str, old: str = "", new: str = "", reason: str = ""
) -> None:
    event_record(image, project=None, actor=by, verb=verb, old=old, new=new, reason=reason)


def _locked(image_id: uuid.UUID) -> Image:
    return Image.objects.select_for_update().get(pk=image_id)


def _checked(reference: str) -> str:
    reference = reference.strip()
    if not REFERENCE.match(reference):
        raise DomainError(
            _("“%(name)s” is no name of an image. Write name:tag, with its registry before it.")
            % {"name": reference[:100]},
            field="reference",
        )
    if Image.objects.filter(
        reference=reference, state__in=(State.WAITING, State.FETCHING)
    ).exists():
        raise Conflict(
            _("%(name)s is being fetched already.") % {"name": reference}, field="reference"
        )
    return reference


@transaction.atomic
def image_add(reference: str, *, by: User | None) -> Image:
    """Puts an image on the list; a node with Docker fetches it, then it may run.

    A name that stands on the list already is looked up anew: it may mean another image by now.
    """
    image = Image.objects.create(reference=_checked(reference), added_by=by)
    _record(image, by, "added", new=State.WAITING.value)
    return image


@transaction.atomic
def image_build_begin(reference: str, *, by: User | None = None) -> Image:
    """An image that is being built on this machine from now on."""
    image = Image.objects.create(reference=_checked(reference), added_by=by, state=State.BUILDING)
    _record(image, by, "added", new=State.BUILDING.value)
    return image


@transaction.atomic
def image_claim(node: Node) -> Image | None:
    """The next image that waits, now being fetched by this node."""
    image = (
        Image.objects.select_for_update().filter(state=State.WAITING).order_by("added_at").first()
    )
    if image is not None:
        _move(image, State.FETCHING, node=node)
    return image


@transaction.atomic
def image_give_back(image_id: uuid.UUID) -> None:
    """Fetching it was cut off, and it waits again."""
    image = Image.objects.select_for_update().filter(pk=image_id, state=State.FETCHING).first()
    if image is not None:
        _move(image, State.WAITING, node=None)


@transaction.atomic
def images_give_back(node: Node) -> None:
    """What this node was fetching when it was stopped waits again."""
    for image in Image.objects.select_for_update().filter(state=State.FETCHING, node=node):
        _move(image, State.WAITING, node=None)


def image_progress(image_id: uuid.UUID, doing: str, percent: int) -> None:
    """How far fetching or building is."""
    busy = Image.objects.filter(pk=image_id, state__in=(State.FETCHING, State.BUILDING))
    busy.update(doing=doing[:200], percent=max(0, min(100, percent)))


@transaction.atomic
def image_ready(image_id: uuid.UUID, found: "Found") -> Image | None:
    """It is here and may run from now on, in the place of what its name meant before.

    What was built under that name on other nodes runs on there: nobody could fetch this one. Gives
    the row that stands for it, None when it was removed in the meantime.
    """
    image = Image.objects.select_for_update().filter(pk=image_id).first()
    if image is None or image.state not in {State.FETCHING, State.BUILDING}:
        return None
    same = Image.objects.select_for_update().filter(reference=image.reference)
    known = same.filter(image_id=found.id).exclude(pk=image.pk).first()
    if known is not None:
        image.delete()
        image = known
    else:
        _move(
            image,
            State.READY,
            image_id=found.id,
            digest=found.digest,
            size_bytes=found.size,
            engine=found.engine[:40],
            description=found.description,
        )
    replaced = list(same.filter(is_enabled=True).exclude(pk=image.pk))
    if not found.digest:
        places = images_on_nodes(replaced)
        replaced = [
            older
            for older in replaced
            if older.digest
            or (older.image_id in found.beside and not {*places[older.pk]} - {settings.NODE_NAME})
        ]
    for older in replaced:
        _switch(older, enabled=False, by=None, reason=_("Its name means another image now."))
    _switch(image, enabled=True, by=image.added_by)
    return image


@transaction.atomic
def image_failed(image_id: uuid.UUID, reason: str) -> None:
    """It could not be had."""
    image = Image.objects.select_for_update().filter(pk=image_id).first()
    if image is not None and image.state in {State.FETCHING, State.BUILDING}:
        _move(image, State.FAILED, reason=reason, error=reason)


@transaction.atomic
def image_retry(image_id: uuid.UUID, *, by: User) -> Image:
    """Fetches again what failed or got stuck."""
    image = _locked(image_id)
    if image.state != State.WAITING:
        _move(image, State.WAITING, by=by, node=None)
    return image


@transaction.atomic
def image_switch(image_id: uuid.UUID, *, enabled: bool, by: User) -> Image:
    """Lets an image run, or lets it run no more; what runs goes on."""
    image = _locked(image_id)
    if image.state != State.READY:
        raise Conflict(_("%(name)s is not here yet.") % {"name": image.reference})
    _switch(image, enabled=enabled, by=by)
    return image


def _switch(image: Image, *, enabled: bool, by: User | None, reason: str = "") -> None:
    if enabled:
        image.enabled_at = timezone.now()
    changed, image.is_enabled = image.is_enabled != enabled, enabled
    image.save(update_fields=["is_enabled", "enabled_at"])
    if changed:
        _record(image, by, "enabled" if enabled else "disabled", reason=reason)
    async_task("nodes.tasks.images_publish")


@transaction.atomic
def image_remove(image_id: uuid.UUID, *, by: User) -> None:
    """Takes it off the list. `Conflict` while the past of a workload names it."""
    image = _locked(image_id)
    if Workload.objects.filter(image=image).exists():
        raise Conflict(
            _("Workloads ran with %(name)s, and their past names it. Disable it instead.")
            % {"name": image.reference}
        )
    _record(image, by, "removed", old=image.state)
    image.delete()
    async_task("nodes.tasks.images_publish")


@contextmanager
def image_tool_run(engine: str, arguments: list[str], *, read: Path) -> Iterator[Path]:
    """Runs a short command of the engine's image, which sees the file `read` as /input.

    Gives the folder that it saw as /workload; `DomainError` when it failed.
    """
    from nodes.runners import (
        CannotStart,
        Unreachable,
        description,
        images,
    )  # see `nodes.runners.runner`

    try:
        image = choose(Image.objects.allowed().filter(engine=engine), images_here(), on_gpus=False)
    except Unreachable as error:
        raise _tool_failed(error) from error
    if image is None:
        raise DomainError(
            _("No image of %(engine)s is on the list of images that may run. Run `make images`.")
            % {"engine": engine}
        )
    user, group = description.container_user()
    with TemporaryDirectory(dir=Path(settings.TRAINER_HOME) / "temp") as name:
        folder = Path(name)
        if os.getuid() == 0:
            os.chown(folder, user, group)
        try:
            here = local_id(image) or image.image_id
            images.run_tool(here, arguments, folder, read, user=f"{user}:{group}")
        except (CannotStart, Unreachable) as error:
            raise _tool_failed(error) from error
        yield folder


def _tool_failed(error: Exception) -> DomainError:
    return DomainError(_("The engine's command failed: %(error)s") % {"error": error})


def images_publish() -> None:
    """Lays out for the pages what the engines of the images say of themselves."""
    home = Path(settings.TRAINER_HOME) / IMAGES
    wanted: dict[str, dict[str, object]] = {}
    for image in Image.objects.allowed():
        wanted.setdefault(image.engine, image.description)
    for engine, files in wanted.items():
        for name, content in files.items():
            _write(home / engine / name, json.dumps(content, ensure_ascii=False))
    with suppress(OSError):
        for folder in home.iterdir():
            if folder.name not in wanted:
                shutil.rmtree(folder)


def _write(path: Path, text: str) -> None:
    with suppress(OSError):
        if path.read_text(encoding="utf-8") == text:
            return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
