"""The end of a project: asked for, hidden at once, emptied bit by bit, then gone.

Nobody sees a deleted project. What it holds is removed by a sweep that can be killed at any point
and goes on where it stood; the row goes last.
"""

import logging
import time
import uuid

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import override
from django_q.tasks import async_task

from accounts.models import Project, User
from accounts.services.events import event_record
from accounts.services.invitations import invitations_withdraw_into
from accounts.services.projects import project_managed
from accounts.signals import Stage, project_contents, project_emptying, project_working
from common.errors import Conflict, DomainError
from common.phrases import gettext as _

logger = logging.getLogger(__name__)
SWEEP = "accounts.tasks.projects_sweep"
SWEEP_SECONDS = 10.0


def project_contents_of(project: Project) -> list[str]:
    """What goes with the project, and what of it stays, in words of the apps above."""
    answers = project_contents.send(Project, project=project)
    return [phrase for _receiver, phrases in answers for phrase in phrases or ()]


def project_work_of(project: Project) -> list[str]:
    """What of the project still runs or waits, a sentence each; empty when it may be deleted."""
    answers = project_working.send(Project, project=project)
    return [sentence for _receiver, sentences in answers for sentence in sentences or ()]


def why_not_deletable(project: Project) -> str:
    """Why this project can never be deleted; empty for the ordinary ones."""
    if project.personal_of_id is not None:
        return _(
            "%(project)s is a personal project and stays with its person."
            " Delete what is in it instead."
        ) % {"project": project.name}
    if project.is_commons:
        return _(
            "%(project)s keeps data that jobs of other projects learnt from."
            " Delete its datasets instead."
        ) % {"project": project.name}
    return ""


@transaction.atomic
def project_delete(project_id: uuid.UUID, *, name: str, by: User) -> None:
    """Deletes a project with all that belongs to it; `name` has to be its name, as a safeguard.

    From the commit on nobody sees it, and its invitations open nothing; the sweep removes the rest.
    Raises DomainError for a personal project and for another name, and Conflict with all reasons
    while anything of it runs or waits.
    """
    project = project_managed(project_id, by)
    if reason := why_not_deletable(project):
        raise DomainError(reason, code="project_stays")
    if " ".join(name.split()) != project.name:
        raise DomainError(
            _("This is not the project's name. Type “%(name)s” to delete it.")
            % {"name": project.name},
            field="name",
            code="other_name",
        )
    if work := project_work_of(project):
        raise Conflict(" ".join(work), code="project_works", data={"reasons": work})
    facts = {"name": project.name, "contents": project_contents_of(project)}
    project.deleted_at = timezone.now()
    project.save(update_fields=["deleted_at"])
    invitations_withdraw_into(project, by=by)
    project.memberships.all().delete()
    event_record(project, project=project, actor=by, verb="deleted", data=facts)
    async_task(SWEEP, cluster="web")


def projects_sweep() -> int:
    """Goes on with the removal of deleted projects; how many are gone now.

    Works for a few seconds and lets the queue's other tasks in between.
    """
    until = time.monotonic() + SWEEP_SECONDS
    gone = sum(_removed(project, until) for project in Project.objects.deleted())
    if time.monotonic() > until and Project.objects.deleted().exists():
        async_task(SWEEP, cluster="web")
    return gone


def _removed(project: Project, until: float) -> bool:
    """Whether nothing of the project is left."""
    try:
        if not all(_emptied(project, stage, until) for stage in Stage):
            return False
        with transaction.atomic():
            event_record(
                project, project=None, actor=None, verb="removed", data={"name": project.name}
            )
            project.delete()
    except Exception:  # one project's trouble must not keep the others
        logger.exception("project %s could not be removed; the next sweep tries again", project.pk)
        return False
    return True


def _emptied(project: Project, stage: Stage, until: float) -> bool:
    answers = project_emptying.send(Project, project=project, stage=stage, until=until)
    return not any(left for _receiver, left in answers)


@transaction.atomic
def project_commons() -> Project:
    """The operators' project, which keeps what others still need when its own project goes."""
    with override(settings.LANGUAGE_CODE):
        name = _("Kept for others")
    project, _made = Project.objects.get_or_create(is_commons=True, defaults={"name": name})
    return project
