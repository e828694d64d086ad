"""Base models: the demo's, the engine's catalogue, and what operators add to it."""

import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.db import IntegrityError, transaction

from accounts.models import User
from accounts.services import event_record
from common.errors import DomainError
from common.phrases import gettext as _
from registry import catalogue, weights
from registry.models import Model, ModelVersion
from registry.services.names import clean_hub_id, clean_name, clean_template

DEMO_NAME = "demo"
DEMO_PATH = "models/demo"
DEMO_SEED = 42
DEMO_TEMPLATE = "chatml"  # the one that the demo model's own chat template is written in


@transaction.atomic
def catalogue_import() -> int:
    """Adds what the engine supports as disabled base models; returns how many were new.

    What is there already stays as operators left it, also under a name they gave it.
    """
    base = ModelVersion.objects.filter(model__project=None)
    names = set(Model.objects.filter(project=None).values_list("name", flat=True))
    hub_ids = set(base.exclude(hf_id="").values_list("hf_id", flat=True))
    known = set(catalogue.templates())
    models: list[Model] = []
    versions: list[ModelVersion] = []
    for entry in catalogue.entries():
        name = entry["name"][:120]
        if name in names or entry["hf_id"] in hub_ids:
            continue
        names.add(name)
        models.append(Model(name=name, is_enabled=False))
        versions.append(
            ModelVersion(
                model=models[-1],
                kind=ModelVersion.Kind.BASE,
                source=ModelVersion.Source.HUB,
                template=entry["template"] if entry["template"] in known else "",
                hf_id=entry["hf_id"],
                ms_id=entry["ms_id"],
            )
        )
    Model.objects.bulk_create(models, batch_size=200)
    ModelVersion.objects.bulk_create(versions, batch_size=200)
    return len(models)


@transaction.atomic
def base_model_add(
    *, by: User, name: str, hf_id: str = "", ms_id: str = "", template: str = "", remark: str = ""
) -> Model:
    """Adds a base model that lies on a hub, enabled."""
    hf_id, ms_id = clean_hub_id(hf_id, field="hf_id"), clean_hub_id(ms_id, field="ms_id")
    if not hf_id and not ms_id:
        raise DomainError(_("Give its id on Hugging Face or on ModelScope."), field="hf_id")
    model = Model(name=clean_name(name), remark=remark.strip(), created_by=by)
    _save(model)
    ModelVersion.objects.create(
        model=model,
        kind=ModelVersion.Kind.BASE,
        source=ModelVersion.Source.HUB,
        template=clean_template(template),
        hf_id=hf_id,
        ms_id=ms_id,
    )
    event_record(model, project=None, actor=by, verb="added", data={"name": model.name})
    return model


@transaction.atomic
def base_model_update(
    model_id: uuid.UUID,
    *,
    by: User,
    name: str | None = None,
    remark: str | None = None,
    is_enabled: bool | None = None,
    template: str | None = None,
    hf_id: str | None = None,
    ms_id: str | None = None,
) -> Model:
    """Changes a base model; what is None stays. Only operators reach base models here."""
    model = Model.objects.editable_by(by).filter(project=None).select_for_update().get(pk=model_id)
    version = model.versions.select_for_update().get()
    if name is not None:
        model.name = clean_name(name)
    if remark is not None:
        model.remark = remark.strip()[:2000]
    if is_enabled is not None and is_enabled != model.is_enabled:
        model.is_enabled = is_enabled
        event_record(model, project=None, actor=by, verb="enabled" if is_enabled else "disabled")
    if template is not None:
        version.template = clean_template(template)
    if hf_id is not None:
        version.hf_id = clean_hub_id(hf_id, field="hf_id")
    if ms_id is not None:
        version.ms_id = clean_hub_id(ms_id, field="ms_id")
    if not (version.path or version.hf_id or version.ms_id):
        raise DomainError(_("Give its id on Hugging Face or on ModelScope."), field="hf_id")
    _save(model)
    version.save(update_fields=["template", "hf_id", "ms_id"])
    return model


def _save(model: Model) -> None:
    try:
        with transaction.atomic():
            model.save()
    except IntegrityError as error:
        raise DomainError(
            _("There is already a base model called “%(name)s”.") % {"name": model.name},
            field="name",
            code="name_taken",
        ) from error


def demo_model_create(
    corpus: Path, make: Callable[[Path, Path], None] | None = None
) -> tuple[ModelVersion, bool]:
    """The demo's base model, and whether it was made now.

    `make(corpus, folder)` makes the folder with the weights; by default the engine here does.

    Its weights are initialised and its tokenizer is trained by the engine from our own corpus. The
    directory appears whole or not at all, and is made once.
    """
    directory = Path(settings.TRAINER_HOME) / DEMO_PATH
    made = not directory.exists()
    if made:
        _demo_files_make(corpus, directory, make or _make_here)
    facts = weights.inspect(directory)
    with transaction.atomic():
        model, _new = Model.objects.get_or_create(project=None, name=DEMO_NAME)
        version, _new = ModelVersion.objects.update_or_create(
            model=model,
            number=1,
            defaults={
                "kind": ModelVersion.Kind.BASE,
                "source": ModelVersion.Source.DEMO,
                "template": DEMO_TEMPLATE,
                "path": DEMO_PATH,
                "parameters": facts.parameters,
                "bytes": facts.bytes,
                "facts": {"architecture": facts.architecture},
            },
        )
    return version, made


def _demo_files_make(corpus: Path, directory: Path, make: Callable[[Path, Path], None]) -> None:
    draft = directory.with_name(f".demo-{uuid.uuid4()}")
    try:
        make(corpus, draft)
        draft.rename(directory)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def demo_arguments(corpus: str, out: str) -> list[str]:
    """What the engine is told."""
    return ["demo-model", "--corpus", corpus, "--out", out, "--seed", str(DEMO_SEED)]


def _make_here(corpus: Path, folder: Path) -> None:
    engine = catalogue.directory() / "engine.json"
    python = json.loads(engine.read_text(encoding="utf-8"))["python"] if engine.exists() else ""
    if not Path(python).is_file():  # the description alone may be an image's, which runs elsewhere
        raise DomainError(_("The training engine is not installed; run `make engine` first."))
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    ended = subprocess.run(
        [python, "-m", "trainer_runtime", *demo_arguments(str(corpus), str(folder))],
        env={**kept, "PYTHONSAFEPATH": "1"},
        cwd=folder.parent,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if ended.returncode:
        raise DomainError(
            _("The demo model could not be made: %(reason)s")
            % {"reason": ended.stderr.strip().splitlines()[-1:] or ended.returncode}
        )
