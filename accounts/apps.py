"""The app's configuration."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """See the package's models."""

    name = "accounts"

    def ready(self) -> None:
        """Tells the schema about our keys."""
        from accounts import schema  # noqa: F401
