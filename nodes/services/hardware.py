"""Errors that speak against devices: counted, and when they repeat, the device is taken out."""

import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import partial

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from nodes.models import AlertRule, Gpu, HardwareError, Node, Workload
from nodes.nvml import PROGRAM_XIDS, Fault
from nodes.services.clock import database_now
from nodes.services.planning import schedule_soon
from nodes.services.rules import EXCLUSION_HOURS, rule
from nodes.services.states import node_event, settle

Kind = HardwareError.Kind
KEEP = timedelta(days=90)
FROM_JOBS = 2  # a single broken program fails everywhere; so many different ones do not
GPUS_OUT = 2  # so many devices out, and the machine itself is not to be trusted


def ecc_note(node: Node, gpu_uuid: str, count: int, *, at: datetime) -> None:
    """The device's count of uncorrected memory errors; what is new of it is an error.

    The first count is only noted: nobody knows when those happened.
    """
    gpu = Gpu.objects.filter(node=node, uuid=gpu_uuid).first()
    if gpu is None or gpu.ecc_uncorrected == count:
        return
    before = gpu.ecc_uncorrected
    Gpu.objects.filter(pk=gpu.pk).update(ecc_uncorrected=count)
    if before is not None and count > before:
        HardwareError.objects.create(
            node=node, gpu=gpu, kind=Kind.ECC, number=min(count - before, 2**31 - 1), at=at
        )
        transaction.on_commit(partial(gpu_judge, gpu.pk))


def faults_note(node_id: uuid.UUID, faults: Iterable[Fault]) -> int:
    """Errors that the driver told of; those that a faulty program causes do not count."""
    noted = 0
    for fault in faults:
        gpu = Gpu.objects.filter(node_id=node_id, uuid=fault.uuid).first()
        if gpu is None or fault.xid in PROGRAM_XIDS or not 0 < fault.xid < 2**31:
            continue
        HardwareError.objects.create(
            node_id=node_id, gpu=gpu, kind=Kind.XID, number=fault.xid, at=database_now()
        )
        noted += 1
        gpu_judge(gpu.pk)
    return noted


def failure_note(workload_id: uuid.UUID) -> None:
    """A workload failed as one does on a broken device; noted once for each device it held."""
    workload = Workload.objects.filter(pk=workload_id).first()
    if workload is None or workload.node_id is None:
        return
    for gpu in Gpu.objects.filter(leases__workload=workload).distinct():
        _error, made = HardwareError.objects.get_or_create(
            gpu=gpu,
            workload=workload,
            defaults={"node_id": workload.node_id, "kind": Kind.FAILURE, "at": database_now()},
        )
        if made:
            transaction.on_commit(partial(gpu_judge, gpu.pk))


def errors_against(gpu: Gpu) -> int:
    """How many errors count against the device now.

    Failed workloads count only from the last one on that ended well there, and only when they are
    different ones or the driver complains as well: a broken program fails everywhere.
    """
    since = timezone.now() - timedelta(hours=EXCLUSION_HOURS)
    errors = gpu.hardware_errors.filter(counts=True, at__gte=since)
    told = errors.exclude(kind=Kind.FAILURE).count()
    well = (
        Workload.objects.filter(leases__gpu=gpu, outcome=Workload.Outcome.OK)
        .order_by("-ended_at")
        .values_list("ended_at", flat=True)
        .first()
    )
    failures = errors.filter(kind=Kind.FAILURE)
    if well is not None:
        failures = failures.filter(at__gt=well)
    jobs = failures.values("workload__project", "workload__name").distinct().count()
    return told + (failures.count() if told or jobs >= FROM_JOBS else 0)


@transaction.atomic
def gpu_judge(gpu_id: int) -> bool:
    """Takes a device out when its errors repeat. Whether this call did."""
    limit = rule(AlertRule.Kind.EXCLUSION)
    node_id = Gpu.objects.filter(pk=gpu_id).values_list("node_id", flat=True).first()
    if not limit.is_enabled or node_id is None:
        return False
    node = Node.objects.select_for_update().get(pk=node_id)
    gpu = Gpu.objects.select_for_update().get(pk=gpu_id)
    count = errors_against(gpu)
    if gpu.excluded_at is not None or count < limit.threshold:
        return False
    gpu.excluded_at = timezone.now()
    gpu.exclusion = {"code": "errors", "args": {"count": count, "hours": EXCLUSION_HOURS}}
    gpu.save(update_fields=["excluded_at", "exclusion"])
    node_event(node, None, "gpu_excluded", data={"gpu": gpu.index, "count": count})
    _judge_node(node)
    schedule_soon()
    return True


def _judge_node(node: Node) -> None:
    """A machine with several devices out, or with no other, is taken out as a whole."""
    out = node.gpus.filter(is_present=True).exclude(excluded_at=None).count()
    if node.excluded_at is not None or (out < GPUS_OUT and node.gpus.usable().exists()):
        return
    node.excluded_at = timezone.now()
    node.exclusion = {"code": "gpus", "args": {"count": out}}
    node.save(update_fields=["excluded_at", "exclusion"])
    if node.state != Node.State.LOST:
        settle(node)


@transaction.atomic
def node_release(node_id: uuid.UUID, *, by: User, gpu_id: int | None = None) -> Node:
    """Lets a device, or the whole node, take work again; what happened until now is forgiven.

    Of a device that is gone nothing is expected any more.
    """
    node = Node.objects.present().select_for_update().get(pk=node_id)
    gpus = node.gpus.filter(pk=gpu_id) if gpu_id is not None else node.gpus.all()
    HardwareError.objects.filter(gpu__in=gpus).update(counts=False)
    gpus.update(excluded_at=None, exclusion={}, gone_at=None)
    node.excluded_at, node.exclusion = None, {}
    node.save(update_fields=["excluded_at", "exclusion"])
    index = gpus.values_list("index", flat=True).first() if gpu_id is not None else ""
    node_event(node, by, "released", data={"gpu": index if index is not None else ""})
    if node.state != Node.State.LOST:
        settle(node, actor=by)
    schedule_soon()
    return node


def errors_forget() -> int:
    """Drops errors that are too old to matter. Returns how many went."""
    return HardwareError.objects.filter(at__lt=timezone.now() - KEEP).delete()[0]
