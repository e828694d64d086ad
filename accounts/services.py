"""Everything that changes people, projects, keys and the trail of events."""

from collections.abc import Mapping

from django.db import models

from accounts.models import Event, Project, User


def event_record(
    subject: models.Model,
    *,
    project: Project | None,
    actor: User | None,
    verb: str,
    old: str = "",
    new: str = "",
    reason: str = "",
    data: Mapping[str, object] | None = None,
) -> Event:
    """Writes down one change of `subject`; live pages hear of it from the row."""
    return Event.objects.create(
        project=project,
        subject_type=subject._meta.label_lower,
        subject_id=subject.pk,
        actor=actor,
        verb=verb,
        old=old,
        new=new,
        reason=reason,
        data=dict(data or {}),
    )
