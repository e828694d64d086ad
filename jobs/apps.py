"""The app's configuration."""

from django.apps import AppConfig


class JobsConfig(AppConfig):
    """See the package's models."""

    name = "jobs"
