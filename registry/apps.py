"""The app's configuration."""

from django.apps import AppConfig


class RegistryConfig(AppConfig):
    """See the package's models."""

    name = "registry"

    def ready(self) -> None:
        """Connects the receivers."""
        from registry import receivers  # noqa: F401
