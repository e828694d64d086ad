"""The house itself, which knows all apps."""

from django.apps import AppConfig


class ConfigConfig(AppConfig):
    """Commands, checks and template tags of the whole."""

    name = "config"

    def ready(self) -> None:
        """Registers the system checks."""
        from config import checks  # noqa: F401
