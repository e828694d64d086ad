"""The app's configuration."""

from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.db.models.signals import post_migrate


def _schedule(sender: object, **kwargs: Any) -> None:
    """The control plane's sweep, once a minute; agents sweep every two seconds."""
    from django_q.models import Schedule

    Schedule.objects.update_or_create(
        name="nodes.sweep",
        defaults={
            "func": "nodes.tasks.sweep",
            "schedule_type": Schedule.MINUTES,
            "minutes": 1,
        },
    )


class NodesConfig(AppConfig):
    """See the package's models."""

    name = "nodes"

    def ready(self) -> None:
        """Silent nodes are noticed even when no agent lives; the directory gets its mark."""
        from nodes import receivers  # noqa: F401

        post_migrate.connect(_schedule, dispatch_uid="nodes.schedule")
        if not settings.CONTROL_URL:
            from nodes.services.sharing import home_id

            home_id(make=True)
