"""The app's configuration."""

from django.apps import AppConfig


class InferenceConfig(AppConfig):
    """See the package's models."""

    name = "inference"

    def ready(self) -> None:
        """Connects the receivers."""
        from inference import receivers  # noqa: F401
