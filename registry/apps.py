"""The app's configuration."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class RegistryConfig(AppConfig):
    """See the package's models."""

    name = "registry"
    verbose_name = _("Models")

    def ready(self) -> None:
        """Connects the receivers."""
        from registry import receivers  # noqa: F401
