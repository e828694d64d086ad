"""How a deployment follows its workload, becomes ready, and is unloaded when nobody uses it.

All of it is idempotent and starts from the rows: signals of the workload are only nudges, and the
agent's regular sweep finds whatever a lost one left behind.
"""

import json
import logging
import uuid
from collections.abc import Iterable
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from common.errors import Conflict
from common.phrases import gettext as _
from inference.models import Deployment, Replica
from inference.probe import probe
from inference.services.moves import locked, move, replica_start
from nodes.models import Workload
from nodes.services import serve_key, workload_stop
from registry.models import ModelVersion

LOAD_SECONDS = 1800  # a large model from a slow disk
RESTARTS_FORGOTTEN_SECONDS = 600  # a service that ran this long earns another restart
LOG_TAIL_BYTES = 64 * 1024
State = Deployment.State
logger = logging.getLogger(__name__)


def workload_sync(workload_id: uuid.UUID) -> None:
    """Follows a change of a workload, if it serves a deployment."""
    replica = Replica.objects.filter(workload_id=workload_id).first()
    if replica is not None:
        deployment_sync(replica.deployment_id)


@transaction.atomic
def deployment_sync(deployment_id: uuid.UUID) -> Deployment:
    """Brings the deployment's state in line with its newest workload."""
    deployment = locked(deployment_id)
    replica = deployment.replica
    if not deployment.is_active or replica is None:
        return deployment
    workload = replica.workload
    if workload.state == Workload.State.ENDED:
        return _ended(deployment, workload)
    started = workload.state in {Workload.State.STARTING, Workload.State.RUNNING}
    if started and deployment.state == State.WAITING:
        return move(deployment, State.LOADING)
    if workload.state == Workload.State.WAITING and deployment.state == State.LOADING:
        return move(deployment, State.WAITING, reason=workload.reason)  # its node had no room
    stopping = workload.state == Workload.State.STOPPING and not workload.goes_on
    if stopping and deployment.state != State.STOPPING:
        return move(deployment, State.STOPPING, reason=workload.reason)
    return deployment


def _ended(deployment: Deployment, workload: Workload) -> Deployment:
    """The workload is over: as asked for, by a failure while loading, or unexpectedly."""
    stopped = workload.outcome == Workload.Outcome.STOPPED
    if stopped and workload.goes_on and deployment.state != State.STOPPING:
        return _again(deployment, reason=workload.reason)
    if deployment.state == State.STOPPING or stopped:
        return move(deployment, State.STOPPED, reason=deployment.reason or workload.reason)
    reason = failure_reason(workload)
    served = deployment.state == State.READY
    lost = workload.outcome == Workload.Outcome.LOST
    if served and deployment.ready_at and workload.ended_at:
        ran = workload.ended_at - deployment.ready_at
        if ran > timedelta(seconds=RESTARTS_FORGOTTEN_SECONDS):
            deployment.restarts = 0
    if (served or lost) and deployment.restarts == 0:
        deployment.restarts = 1
        deployment.save(update_fields=["restarts"])
        return _again(deployment, reason=reason)
    return move(deployment, State.FAILED, reason=reason)


def _again(deployment: Deployment, *, reason: str) -> Deployment:
    """Serves the model by another workload."""
    if deployment.state != State.WAITING:
        move(deployment, State.WAITING, reason=reason, verb="restarted")
    replica_start(deployment, by=None)
    return deployment


def failure_reason(workload: Workload) -> str:
    """What went wrong, in the engine's own words where there are any."""
    if workload.outcome == Workload.Outcome.OOM:
        return _("The model needs more memory than it can have there. Choose a smaller one.")
    if workload.outcome == Workload.Outcome.LOST:
        return _("The node that served it fell silent.")
    error = workload.end_facts.get("error")
    message = error.get("message") if isinstance(error, dict) else error
    return str(message or _error_of_log(workload) or workload.reason or _("It ended unexpectedly."))


def _error_of_log(workload: Workload) -> str:
    """The message of the engine's last error line, or its last line at all."""
    try:
        with workload.log_path.open("rb") as log:
            size = log.seek(0, 2)
            log.seek(max(size - LOG_TAIL_BYTES, 0))
            lines = log.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    for line in reversed(lines):
        if line.startswith("trainer-error: "):
            try:
                return str(json.loads(line.removeprefix("trainer-error: "))["message"])
            except (ValueError, KeyError, TypeError):
                return line
    return next((line for line in reversed(lines) if line.strip()), "")[:500]


@transaction.atomic
def deployment_ready(deployment_id: uuid.UUID, *, replica_id: int) -> Deployment:
    """The replica answered a real request. One that was replaced meanwhile changes nothing."""
    deployment = locked(deployment_id)
    replica = deployment.replica
    if deployment.state == State.LOADING and replica is not None and replica.pk == replica_id:
        move(deployment, State.READY)
    return deployment


def deployment_touch(deployment_id: uuid.UUID) -> bool:
    """Notes that the deployment is in use now. False when it is not ready any more.

    The same row decides who comes first, this use or the unloading, so that no request is begun on
    a deployment that is just being unloaded.
    """
    rows = Deployment.objects.filter(pk=deployment_id, state=State.READY)
    return bool(rows.update(last_used_at=timezone.now()))


@transaction.atomic
def deployment_unload(deployment_id: uuid.UUID) -> bool:
    """Stops the deployment if nobody used it for its idle time; whether it did."""
    deployment = locked(deployment_id)
    unloads_at = deployment.unloads_at
    if unloads_at is None or unloads_at > timezone.now():
        return False
    replica = deployment.replica
    reason = _("Nobody used it for {minutes} min.").format(
        minutes=f"{deployment.idle_seconds / 60:.2g}"
    )
    move(deployment, State.STOPPING, reason=reason, verb="unloaded")
    if replica is not None:
        workload_stop(replica.workload_id, mode="kill", reason=reason)
    return True


def deployments_sweep(*, node_id: uuid.UUID | None = None) -> None:
    """What every deployment is due: follow the workload, ask whether it is ready, unload it.

    `node_id` is the node this runs on; only sockets of that machine can be asked. One deployment's
    trouble is logged and does not keep the others waiting.
    """
    for replica in _newest_replicas():
        try:
            _sweep_one(replica, node_id)
        except Exception:
            logger.exception("sweeping deployment %s", replica.deployment_id)


def _newest_replicas() -> Iterable[Replica]:
    """The newest replica of each active deployment."""
    rows = (
        Replica.objects.filter(deployment__in=Deployment.objects.active())
        .select_related("deployment", "workload")
        .order_by("created_at", "id")
    )
    return {row.deployment_id: row for row in rows}.values()


def _sweep_one(replica: Replica, node_id: uuid.UUID | None) -> None:
    """One deployment's turn."""
    deployment, workload = replica.deployment, replica.workload
    moved = workload.state in {Workload.State.ENDED, Workload.State.STOPPING}
    running = workload.state in {Workload.State.STARTING, Workload.State.RUNNING}
    waits = workload.state == Workload.State.WAITING
    late = (running and deployment.state == State.WAITING) or (
        waits and deployment.state == State.LOADING
    )
    if moved or late:
        deployment = deployment_sync(deployment.pk)
    if deployment.state == State.LOADING and running:
        if node_id is None or workload.node_id == node_id:
            _ask_whether_ready(replica)
    elif deployment.state == State.READY:
        unloads_at = deployment.unloads_at
        if unloads_at is not None and unloads_at <= timezone.now():
            deployment_unload(deployment.pk)


def _ask_whether_ready(replica: Replica) -> None:
    """A connection first, then a real request; too long a silence is a failure."""
    workload = replica.workload
    if probe(str(workload.socket_path), serve_key(workload), replica.deployment.name):
        deployment_ready(replica.deployment_id, replica_id=replica.pk)
    elif timezone.now() - replica.created_at > timedelta(seconds=LOAD_SECONDS):
        since = workload.started_at or replica.created_at
        if timezone.now() - since > timedelta(seconds=LOAD_SECONDS):
            _load_timed_out(replica)


@transaction.atomic
def _load_timed_out(replica: Replica) -> None:
    """Gives up on a replica that never became ready."""
    deployment = locked(replica.deployment_id)
    if deployment.state == State.LOADING:
        reason = _("It did not answer within {minutes} min of loading.").format(
            minutes=LOAD_SECONDS // 60
        )
        move(deployment, State.FAILED, reason=reason)
        workload_stop(replica.workload_id, mode="kill", reason=reason)


def version_guard(version: ModelVersion) -> None:
    """Refuses to delete a version that is in service; ended deployments of it go with it."""
    rows = Deployment.objects.filter(version=version)
    active = rows.active().first()
    if active is not None:
        raise Conflict(
            _("The version is in service as “{name}”. Stop that deployment first.").format(
                name=active.name
            )
        )
    rows.delete()
