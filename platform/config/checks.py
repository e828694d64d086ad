"""System checks: what would make this installation fail later, told at the start."""

import os
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, register

from common.engines import IMAGES


@register()
def no_foreign_datasets(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[CheckMessage]:
    """The library `datasets` would shadow the app of that name, or be shadowed by it."""
    try:
        distribution("datasets")
    except PackageNotFoundError:
        return []
    return [
        checks.Error(
            "The library 'datasets' is installed beside the platform, whose app has that name.",
            hint="Uninstall it here; engines have environments of their own.",
            id="trainer.E001",
        )
    ]


@register()
def home_is_writable(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Data, weights, logs and the database lie under TRAINER_HOME."""
    home = Path(settings.TRAINER_HOME)
    if home.is_dir() and os.access(home, os.W_OK | os.X_OK):
        return []
    return [
        checks.Error(
            f"{home} is not a directory that this user may write to.",
            hint="Change its owner, or set TRAINER_HOME to another directory.",
            id="trainer.E002",
        )
    ]


@register()
def the_embedding_model_is_there(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[CheckMessage]:
    """Recipes that compare new rows with their origin would fail without it."""
    directory = settings.EMBEDDING_MODEL_DIR
    if not directory or Path(directory).is_dir():
        return []
    return [
        checks.Error(
            f"TRAINER_EMBEDDING_MODEL_DIR={directory!r} is not a directory.",
            hint="Set it to the directory of a Model2Vec model, or take it away.",
            id="trainer.E003",
        )
    ]


@register()
def scripts_are_built(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Pages have no look and no life without the built files."""
    built = Path(settings.STATICFILES_DIRS[0])
    if all((built / name).is_file() for name in ("app.css", "app.js", "theme.js")):
        return []
    return [
        checks.Warning(
            "The pages' style and scripts are not built.",
            hint="Run `npm ci && npm run build`.",
            id="trainer.W001",
        )
    ]


@register()
def an_engine_is_installed(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[CheckMessage]:
    """Without an engine nothing can be trained, evaluated, exported or served on this machine."""
    described = (Path(settings.ENGINES_DIR), Path(settings.TRAINER_HOME) / IMAGES)
    if any(any(folder.glob("*/engine.json")) for folder in described):
        return []
    return [
        checks.Warning(
            f"No training engine is installed in {settings.ENGINES_DIR}.",
            hint="Run `make engine`, or set TRAINER_ENGINES_DIR to where one is; or run `make"
            " images` and serve with --runner docker.",
            id="trainer.W002",
        )
    ]
