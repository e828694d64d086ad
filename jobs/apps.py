"""The app's configuration."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


def _schedule(sender: object, **kwargs: Any) -> None:
    """The sweep, once a minute."""
    from django_q.models import Schedule

    Schedule.objects.update_or_create(
        name="jobs.sweep",
        defaults={
            "func": "jobs.tasks.jobs_sweep",
            "schedule_type": Schedule.MINUTES,
            "minutes": 1,
        },
    )


class JobsConfig(AppConfig):
    """See the package's models."""

    name = "jobs"
    verbose_name = _("Training")

    def ready(self) -> None:
        """Connects the receivers."""
        from jobs import receivers  # noqa: F401

        post_migrate.connect(_schedule, sender=self, dispatch_uid="jobs.schedule")
