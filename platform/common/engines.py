"""Where engines describe themselves: which models, templates and arguments they know."""

from pathlib import Path

from django.conf import settings

IMAGES = "images"  # below TRAINER_HOME: what the engines in images say


def engine_folder(name: str) -> Path:
    """The folder of the engine that is installed here, else that of its image's description."""
    installed = Path(settings.ENGINES_DIR) / name
    described = Path(settings.TRAINER_HOME) / IMAGES / name
    is_described = described.is_dir() and not (installed / "engine.json").exists()
    return described if is_described else installed
