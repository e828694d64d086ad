"""Where engines describe themselves: which models, templates and arguments they know."""

from pathlib import Path

from django.conf import settings

IMAGES = "images"  # below TRAINER_HOME: what the engines in images say


def engine_folder(name: str) -> Path:
    """The folder of the engine that is installed here, else that of its image's description."""
    installed = Path(settings.ENGINES_DIR) / name
    if (installed / "engine.json").exists():
        return installed
    return Path(settings.TRAINER_HOME) / IMAGES / name
