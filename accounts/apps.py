"""The app's configuration."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """See the package's models."""

    name = "accounts"
