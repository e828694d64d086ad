"""The app's configuration."""

from django.apps import AppConfig


class NodesConfig(AppConfig):
    """See the package's models."""

    name = "nodes"
