"""Deploy, stop, deploy again, delete."""

import re
import uuid

from django.conf import settings
from django.db import transaction

from accounts.models import Project, Role, User
from accounts.services import event_record, project_hold
from common.errors import Conflict, DomainError, QuotaExceeded
from common.phrases import gettext as _
from inference.models import Deployment
from inference.services.moves import idle_default, locked, move, replica_start
from nodes.services import workload_stop
from registry.models import ModelVersion

IDLE_LEAST, IDLE_MOST = 30, 7 * 24 * 3600  # seconds
NAME_MAX = 100
State = Deployment.State


@transaction.atomic
def deployment_create(
    *,
    project: Project,
    created_by: User,
    version: ModelVersion,
    idle_seconds: int | None = None,
) -> Deployment:
    """Puts a version into service.

    Raises DomainError (role, a version that cannot be deployed, idle time out of bounds) and
    QuotaExceeded, which names the deployment to stop first.
    """
    _check_role(project, created_by)
    project_hold(project.pk)
    refusal = version_refusal(version, project=project)
    if refusal:
        raise DomainError(refusal, field="version", code="version_unfit")
    idle = _checked_idle(idle_seconds)
    _check_quota(created_by)
    deployment = Deployment.objects.create(
        project=project,
        created_by=created_by,
        version=version,
        name=_free_name(project, version),
        idle_seconds=idle,
    )
    event_record(
        deployment, project=project, actor=created_by, verb="created", new=deployment.state
    )
    replica_start(deployment, by=created_by)
    return deployment


def version_refusal(version: ModelVersion, *, project: Project) -> str:
    """Why the version cannot be deployed in the project; empty when it can."""
    if not ModelVersion.objects.usable_in(project).filter(pk=version.pk).exists():
        return _(
            "This model version cannot be used in this project. Choose an enabled base model or a "
            "version of the project's own."
        )
    if version.kind == ModelVersion.Kind.REWARD:
        return _("A reward model gives scores, not answers, so there is nothing to chat with.")
    model, _adapter = version.chain()
    if model.startswith("hub:") and not settings.HUB_ONLINE:
        return _(
            "The weights are only on a model hub, and this installation may not download. "
            "Ask an operator to import the model from a directory."
        )
    return ""


@transaction.atomic
def deployment_stop(deployment_id: uuid.UUID, *, by: User | None, reason: str = "") -> Deployment:
    """Ends the service and frees its place. Stopping twice is no error; a stopped one stays so."""
    deployment = locked(deployment_id)
    if deployment.state in {State.STOPPING, *Deployment.FINAL}:
        return deployment
    replica = deployment.replica
    why = reason or _("Stopped by {user}.").format(user=by or _("the platform"))
    move(deployment, State.STOPPING, actor=by, reason=why)
    if replica is None:
        return move(deployment, State.STOPPED, actor=by, reason=why)
    workload_stop(replica.workload_id, mode="kill", reason=why)
    return deployment


@transaction.atomic
def deployment_restart(deployment_id: uuid.UUID, *, by: User) -> Deployment:
    """Deploys again: an ended one from nothing, an active one with a fresh process.

    Name and address stay, unless another active deployment took the name meanwhile.
    """
    deployment = locked(deployment_id)
    project_hold(deployment.project_id)
    if deployment.state == State.STOPPING:
        raise Conflict(
            _("“{name}” is just being stopped. Try again in a few seconds.").format(
                name=deployment.name
            )
        )
    refusal = version_refusal(deployment.version, project=deployment.project)
    if refusal:
        raise DomainError(refusal, code="version_unfit")
    if deployment.is_active:
        old = deployment.replica
        if deployment.state != State.WAITING:
            move(deployment, State.WAITING, actor=by, verb="restarted")
        if old is not None:
            workload_stop(old.workload_id, mode="kill", reason=_("Restarted."))
    else:
        _check_quota(by)
        deployment.created_by = by
        deployment.name = _free_name(deployment.project, deployment.version)
        deployment.ready_at = deployment.last_used_at = deployment.ended_at = None
        deployment.restarts = 0
        deployment.save(
            update_fields=["created_by", "name", "ready_at", "last_used_at", "ended_at", "restarts"]
        )
        move(deployment, State.WAITING, actor=by, verb="restarted")
    replica_start(deployment, by=by)
    return deployment


@transaction.atomic
def deployment_delete(deployment_id: uuid.UUID, *, by: User) -> None:
    """Removes an ended deployment from the list; its conversations stay. Conflict while active."""
    deployment = locked(deployment_id)
    if deployment.is_active:
        raise Conflict(_("“{name}” is in service. Stop it first.").format(name=deployment.name))
    event_record(
        deployment, project=deployment.project, actor=by, verb="deleted", old=deployment.state
    )
    deployment.delete()


def _check_role(project: Project, user: User) -> None:
    """Deploying takes a developer."""
    if project.role_of(user) < Role.DEVELOPER:
        raise DomainError(
            _("Deploying in “{project}” takes the role developer. Ask a manager of the project.")
            .format(project=project.name),
            code="role",
        )  # fmt: skip


def _checked_idle(seconds: int | None) -> int:
    """The idle time, within its bounds."""
    idle = idle_default() if seconds is None else seconds
    if seconds is not None and not IDLE_LEAST <= seconds <= IDLE_MOST:
        raise DomainError(
            _("The idle time has to be between {least} seconds and {most} days.").format(
                least=IDLE_LEAST, most=IDLE_MOST // 86400
            ),
            field="idle_seconds",
        )
    return idle


def _check_quota(user: User) -> None:
    """Holds the user's row so that two requests at once cannot both take the last place."""
    limit = User.objects.select_for_update().get(pk=user.pk).max_deployments
    mine = Deployment.objects.active().filter(created_by=user).exclude(state=State.STOPPING)
    active = list(mine.order_by("created_at"))
    if len(active) < limit:
        return
    names = [deployment.name for deployment in active]
    raise QuotaExceeded(
        _(
            "You may keep no more models in service at once than {limit} and have {names}. Stop "
            "one of them first, or ask an operator for more."
        ).format(limit=limit, names=", ".join(names))
        if names
        else _("You may not keep models in service. Ask an operator for more."),
        data={"limit": limit, "active": [str(deployment.pk) for deployment in active]},
    )


def _free_name(project: Project, version: ModelVersion) -> str:
    """A readable name that no other active deployment of the project has, such as `helpdesk-v3`."""
    words = re.sub(r"[^\w.-]+", "-", str(version).lower()).strip("-.")[:NAME_MAX] or "model"
    taken = set(
        Deployment.objects.active()
        .filter(project=project, name__startswith=words)
        .values_list("name", flat=True)
    )
    name, number = words, 1
    while name in taken:
        number += 1
        name = f"{words}-{number}"
    return name
