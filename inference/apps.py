"""The app's configuration."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class InferenceConfig(AppConfig):
    """See the package's models."""

    name = "inference"
    verbose_name = _("Deployments")

    def ready(self) -> None:
        """Connects the receivers."""
        from inference import receivers  # noqa: F401
