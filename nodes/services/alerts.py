"""Trouble of nodes: noticed, opened once, closed when it is over."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import Q, Sum

from nodes.models import (
    Alert,
    AlertDelivery,
    AlertRule,
    Gpu,
    HardwareError,
    Lease,
    Node,
    NodeSample,
)
from nodes.services.channels import deliveries_create
from nodes.services.clock import database_now
from nodes.services.rules import BOUNDS, EXCLUSION_HOURS, rules
from nodes.services.silence import Witness
from nodes.services.states import node_event

Kind, State = AlertRule.Kind, Alert.State
Happening = AlertDelivery.Happening
KEEP = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Finding:
    """A figure that a rule looks at, and what it is of: the node, a GPU, a disk.

    Without a value nobody knows it now, and what was said of it stands.
    """

    kind: str
    value: float | None
    subject: str = ""
    gpu: Gpu | None = None


def alerts_measure(node_id: uuid.UUID) -> None:
    """Looks at a node's newest measurement. The node's own agent does, after each one."""
    node = Node.objects.present().filter(pk=node_id).first()
    if node is None:
        return
    sample = NodeSample.objects.filter(node=node).newest().first()
    findings = [*_of_node(node, sample), *_of_gpus(node, sample)]
    kinds = set(BOUNDS) - {Kind.SILENCE}
    _weigh_all(node, kinds, findings, database_now())


def alerts_silence(witness: Witness) -> None:
    """Looks for nodes that do not report; they cannot do it themselves.

    What the witness has not seen to be silent is not, whatever the database's clock says; how long
    a silence has lasted, that clock may know better than one who has not looked for as long.
    """
    now = database_now()
    limit = next(rule for rule in rules() if rule.kind == Kind.SILENCE)
    silent = witness.silent(min(limit.threshold, limit.clear))
    told = Alert.objects.current().filter(kind=Kind.SILENCE).values("node")
    for node in Node.objects.present().filter(Q(pk__in=silent) | Q(pk__in=told)):
        if node.heartbeat_at is not None:
            seen = witness.signs[node.pk].seconds if node.pk in silent else 0.0
            seconds = max(seen, (now - node.heartbeat_at).total_seconds())
            _weigh_all(node, {Kind.SILENCE}, [Finding(Kind.SILENCE, seconds)], now)


def _of_node(node: Node, sample: NodeSample | None) -> Iterable[Finding]:
    yield Finding(Kind.CLOCK, abs(node.clock_skew_seconds))
    for disk in sample.disks if sample else ():
        percent = 100 * disk["used_bytes"] / disk["total_bytes"]
        yield Finding(Kind.DISK, round(percent, 1), subject=disk["path"])


def _of_gpus(node: Node, sample: NodeSample | None) -> Iterable[Finding]:
    loads = {load["uuid"]: load for load in sample.gpus} if sample else {}
    since = database_now() - timedelta(hours=EXCLUSION_HOURS)
    gpus = list(node.gpus.known())
    if not gpus:
        return
    errors = dict(
        HardwareError.objects.filter(
            node=node, kind=HardwareError.Kind.ECC, counts=True, at__gte=since
        )
        .values_list("gpu")
        .annotate(Sum("number"))
    )
    leases = Lease.objects.filter(gpu__node=node, released_at=None)
    held = set(leases.values_list("gpu_id", flat=True))
    for gpu in gpus:
        load = loads.get(gpu.uuid, {})
        is_lost = not gpu.is_present or gpu.health == Gpu.Health.FAILED
        figures: dict[str, float | None] = {
            Kind.HEAT: load.get("temperature"),
            Kind.ECC: errors.get(gpu.pk, 0),
            Kind.LOSS: float(is_lost),
        }
        if gpu.pk in held:
            figures[Kind.IDLE] = load.get("percent")
        if gpu.excluded_at is not None:
            figures[Kind.EXCLUSION] = BOUNDS[Kind.EXCLUSION].high
        for kind, value in figures.items():
            yield Finding(kind, value, subject=gpu.uuid, gpu=gpu)


def _weigh_all(
    node: Node, kinds: Iterable[str], findings: Iterable[Finding], now: datetime
) -> None:
    """Brings the node's alerts of these kinds in line with what was found."""
    known = {rule.kind: rule for rule in rules()}
    current = {
        (alert.kind, alert.subject): alert
        for alert in Alert.objects.current().filter(node=node, kind__in=kinds)
    }
    for finding in findings:
        limit = known[finding.kind]
        alert = current.pop((finding.kind, finding.subject), None)
        if not limit.is_enabled:
            if alert is not None:
                _end(alert, now)
        elif finding.value is not None:
            _weigh(node, limit, finding, finding.value, alert, now)
    for alert in current.values():  # what is not there any more cannot be in trouble
        _end(alert, now)


def _is_trouble(limit: AlertRule, value: float) -> bool:
    falling = BOUNDS[limit.kind].falling
    return value <= limit.threshold if falling else value >= limit.threshold


def _is_over(limit: AlertRule, value: float) -> bool:
    """Beyond the clear figure, and no trouble: what stands between changes nothing."""
    beyond = value >= limit.clear if BOUNDS[limit.kind].falling else value <= limit.clear
    return beyond and not _is_trouble(limit, value)


def _weigh(
    node: Node,
    limit: AlertRule,
    finding: Finding,
    value: float,
    alert: Alert | None,
    now: datetime,
) -> None:
    trouble = _is_trouble(limit, value)
    if alert is None:
        if trouble:
            _begin(node, limit, finding, value, now)
        return
    if alert.state == State.PENDING and not trouble:
        alert.delete()
        return
    if alert.state == State.OPEN and _is_over(limit, value):
        _end(alert, now, value=value)
        return
    if alert.value != value:
        alert.value = value
        Alert.objects.filter(pk=alert.pk).update(value=value)
    if alert.state == State.PENDING and now - alert.since >= timedelta(seconds=limit.hold_seconds):
        _open(alert, now)


def _begin(node: Node, limit: AlertRule, finding: Finding, value: float, now: datetime) -> None:
    alert = Alert(
        node=node,
        kind=finding.kind,
        subject=finding.subject,
        gpu=finding.gpu,
        value=value,
        threshold=limit.threshold,
        since=now,
    )
    try:
        with transaction.atomic():
            alert.save(force_insert=True)
    except IntegrityError:  # another process noticed it at the same moment
        return
    if not limit.hold_seconds:
        _open(alert, now)


@transaction.atomic
def _open(alert: Alert, now: datetime) -> None:
    """Opens it, once, and tells the channels."""
    waiting = Alert.objects.filter(pk=alert.pk, state=State.PENDING)
    if not waiting.update(state=State.OPEN, opened_at=now):
        return
    alert.refresh_from_db()
    node_event(alert.node, None, "alert_opened", new=alert.kind)
    deliveries_create(alert, Happening.OPENED)


@transaction.atomic
def _end(alert: Alert, now: datetime, *, value: float | None = None) -> None:
    """Closes what is open and forgets what had not been opened yet."""
    if alert.state == State.PENDING:
        alert.delete()
        return
    changes = {"state": State.CLOSED, "closed_at": now}
    if value is not None:
        changes["value"] = value
    if not Alert.objects.filter(pk=alert.pk, state=State.OPEN).update(**changes):
        return
    alert.refresh_from_db()
    node_event(alert.node, None, "alert_closed", new=alert.kind)
    deliveries_create(alert, Happening.CLOSED)


def alerts_end(node: Node) -> None:
    """Ends all alerts of a node that goes."""
    now = database_now()
    for alert in Alert.objects.current().filter(node=node):
        _end(alert, now)


def alerts_forget() -> int:
    """Drops what is over for long. Returns how many rows went."""
    old = database_now() - KEEP
    return Alert.objects.filter(state=State.CLOSED, closed_at__lt=old).delete()[0]
