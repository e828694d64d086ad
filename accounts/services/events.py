"""The trail of events, and the news of it for live pages."""

import time
import uuid
from collections.abc import Mapping
from datetime import timedelta

from django.db import models
from django.utils import timezone

from accounts import live
from accounts.models import Event, Project, Pulse, User
from common.commits import after_commit

PULSE_SECONDS = 0.5
_touched: dict[uuid.UUID, float] = {}


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
    """Writes down one change of `subject`; live pages hear of it when the change is committed."""
    event = Event.objects.create(
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
    if live.sends_directly():
        after_commit(live.send, event.subject_id, event.project_id)
    return event


def live_touch(subject_id: uuid.UUID, project_id: uuid.UUID | None) -> None:
    """Tells live pages that a thing changed in a way that deserves no event, such as its progress.

    At most twice a second for one thing; what comes sooner is left out, because the next touch or
    the event at the end says the same.
    """
    now = time.monotonic()
    if now - _touched.get(subject_id, -PULSE_SECONDS) < PULSE_SECONDS:
        return
    if len(_touched) > 1000:
        _touched.clear()
    _touched[subject_id] = now
    if live.sends_directly():
        after_commit(live.send, subject_id, project_id)
        return
    at = timezone.now()
    # Another process may touch the same thing: the row keeps the pace for all of them.
    due = Pulse.objects.filter(subject_id=subject_id)
    rested = models.Q(at__lt=at - timedelta(seconds=PULSE_SECONDS))
    if due.filter(rested).update(counter=models.F("counter") + 1, at=at) or due.exists():
        return
    Pulse.objects.bulk_create(
        [Pulse(subject_id=subject_id, project_id=project_id, at=at)], ignore_conflicts=True
    )
