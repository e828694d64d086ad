"""Which replica answers for a name, and why none does."""

import uuid
from dataclasses import dataclass, field

from accounts.models import User
from common.errors import DomainError
from common.phrases import gettext as _
from common.texts import id_of
from inference.models import Deployment
from nodes.services import Route, route_to, serve_key


class NotReady(DomainError):
    """The deployment cannot answer now. `code` is its state; `message` says what to do."""

    http_status = 409


@dataclass(frozen=True)
class Target:
    """Where a deployment answers. Never leaves the server."""

    deployment_id: uuid.UUID
    name: str
    route: Route
    key: str = field(repr=False)


def model_target(user: User, name: str) -> Target | None:
    """The target of a model's public name or a deployment's id; None for a stranger's or no model.

    Names are unique within a project; of several projects the user's own deployment wins, then a
    ready one, then the newest. NotReady when it exists but cannot answer.
    """
    found = deployment_named(user, name)
    return target_of(found) if found else None


def deployment_named(user: User, name: str) -> Deployment | None:
    """The user's deployment by its public name or its id."""
    rows = Deployment.objects.editable_by(user)
    if wanted := id_of(name):
        return rows.filter(pk=wanted).first()
    # PostgreSQL refuses to look for a zero byte.
    found = [] if "\0" in name else list(rows.filter(name=name)[:50])
    ready = Deployment.State.READY
    found.sort(
        key=lambda row: (row.is_active, row.created_by_id == user.pk, row.state == ready),
        reverse=True,
    )
    return found[0] if found else None


def target_of(deployment: Deployment) -> Target:
    """The target of a ready deployment; NotReady says what to do otherwise."""
    replica = deployment.replica
    if deployment.state == Deployment.State.READY and replica is not None:
        workload = replica.workload
        return Target(deployment.pk, deployment.name, route_to(workload), serve_key(workload))
    raise NotReady(
        _MESSAGES[Deployment.State(deployment.state)]().format(
            name=deployment.name, reason=deployment.reason or _("no reason was given")
        ),
        code=deployment.state,
        data={"deployment": str(deployment.pk)},
    )


_MESSAGES = {
    Deployment.State.WAITING: lambda: _("“{name}” waits for a place on a node. Try again later."),
    Deployment.State.LOADING: lambda: _("“{name}” is loading. Try again in a few seconds."),
    Deployment.State.READY: lambda: _("“{name}” does not answer. Deploy it again."),
    Deployment.State.STOPPING: lambda: _("“{name}” is being stopped. Deploy it again."),
    Deployment.State.STOPPED: lambda: _(
        "“{name}” is not in service any more: it was stopped or unloaded. Deploy it again."
    ),
    Deployment.State.FAILED: lambda: _("“{name}” failed: {reason} Deploy it again."),
}
