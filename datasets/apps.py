"""The app's configuration."""

from django.apps import AppConfig


class DatasetsConfig(AppConfig):
    """See the package's models."""

    name = "datasets"
