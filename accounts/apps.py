"""The app's configuration."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


def _schedule(sender: object, **kwargs: Any) -> None:
    """The sweep, once a minute."""
    from django_q.models import Schedule

    Schedule.objects.update_or_create(
        name="accounts.sweep",
        defaults={
            "func": "accounts.tasks.projects_sweep",
            "schedule_type": Schedule.MINUTES,
            "minutes": 1,
            "cluster": "web",
        },
    )


class AccountsConfig(AppConfig):
    """See the package's models."""

    name = "accounts"
    verbose_name = _("Accounts")

    def ready(self) -> None:
        """Has the queue sweep."""
        post_migrate.connect(_schedule, sender=self, dispatch_uid="accounts.schedule")
