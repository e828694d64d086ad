"""The app's configuration."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


def _schedule(sender: object, **kwargs: Any) -> None:
    """The sweep, once a minute, and the rules of retention, once an hour."""
    from django_q.models import Schedule

    Schedule.objects.update_or_create(
        name="datasets.sweep",
        defaults={
            "func": "datasets.tasks.datasets_sweep",
            "schedule_type": Schedule.MINUTES,
            "minutes": 1,
            "cluster": "web",
        },
    )
    Schedule.objects.update_or_create(
        name="datasets.retention",
        defaults={
            "func": "datasets.tasks.retention_sweep",
            "schedule_type": Schedule.HOURLY,
            "cluster": "web",
        },
    )


class DatasetsConfig(AppConfig):
    """See the package's models."""

    name = "datasets"
    verbose_name = _("Datasets")

    def ready(self) -> None:
        """Connects the receivers."""
        from datasets import receivers  # noqa: F401

        post_migrate.connect(_schedule, sender=self, dispatch_uid="datasets.schedule")
