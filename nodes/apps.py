"""The app's configuration."""

from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


def _seed(sender: object, **kwargs: Any) -> None:
    """The control plane's regular work, and the rules of alerts.

    The sweep comes once a minute here; agents sweep every two seconds.
    """
    from django_q.models import Schedule

    from nodes.services import rules_seed

    for name, kind, minutes in (
        ("sweep", Schedule.MINUTES, 1),
        ("forget", Schedule.DAILY, None),
    ):
        Schedule.objects.update_or_create(
            name=f"nodes.{name}",
            defaults={
                "func": f"nodes.tasks.{name}",
                "schedule_type": kind,
                "minutes": minutes,
            },
        )
    rules_seed()


class NodesConfig(AppConfig):
    """See the package's models."""

    name = "nodes"
    verbose_name = _("Nodes")

    def ready(self) -> None:
        """Silent nodes are noticed even when no agent lives; the directory gets its mark."""
        from nodes import receivers  # noqa: F401

        post_migrate.connect(_seed, sender=self, dispatch_uid="nodes.seed")
        if not settings.CONTROL_URL:
            from nodes.services.sharing import home_id

            home_id(make=True)
