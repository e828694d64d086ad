"""The one door for a deployment's state, and what starts its workload."""

import uuid
from typing import Any

import yaml
from django.conf import settings
from django.utils import timezone

from accounts.models import User
from accounts.services import event_record
from common.errors import Conflict
from common.phrases import gettext as _
from inference.models import Deployment, Replica
from nodes.models import Gpu
from nodes.services import workload_submit
from registry.models import ModelVersion

ENGINE = "llamafactory"
PRIORITY = 60  # somebody waits for an answer, so before ordinary jobs
SMALL_PARAMETERS = 200_000_000  # answers fast enough on a CPU and leaves the GPU to others
CPUS = 0.25  # a model in service mostly waits: it finds a place beside a training
OVERHEAD_BYTES = 2**30  # Python, torch and the engine without any weights


def move(
    deployment: Deployment,
    to: str,
    *,
    actor: User | None = None,
    reason: str = "",
    verb: str = "state",
) -> Deployment:
    """Changes the state; the caller holds the row lock. Conflict when it is not one of `MOVES`."""
    if not deployment.can_become(to):
        raise Conflict(
            _("The deployment “{name}” is {state}; it cannot become {to}.").format(
                name=deployment.name,
                state=Deployment.State(deployment.state).label,
                to=Deployment.State(to).label,
            )
        )
    old, now = deployment.state, timezone.now()
    deployment.state, deployment.reason = to, reason
    if to == Deployment.State.READY:
        deployment.ready_at = deployment.last_used_at = now
    if to in Deployment.FINAL:
        deployment.ended_at = now
    deployment.save(update_fields=["state", "reason", "ready_at", "last_used_at", "ended_at"])
    event_record(
        deployment,
        project=deployment.project,
        actor=actor,
        verb=verb,
        old=old,
        new=to,
        reason=reason,
    )
    return deployment


def locked(deployment_id: uuid.UUID) -> Deployment:
    """The row, held until the end of the transaction."""
    rows = Deployment.objects.select_for_update(of=("self",)).select_related("project", "version")
    return rows.get(pk=deployment_id)


def replica_start(deployment: Deployment, *, by: User | None) -> Replica:
    """Submits a workload that serves the deployment's version."""
    version = deployment.version
    model, adapter = version.chain()
    on_hub = model.startswith("hub:")
    config: dict[str, Any] = {
        "model_name": deployment.name,
        "model_name_or_path": model.removeprefix("hub:") if on_hub else "inputs/model",
    }
    inputs = {"model": model}
    if version.template:
        config["template"] = version.template
    if adapter:
        config["adapter_name_or_path"], inputs["adapter"] = "inputs/adapter", adapter
    gpus, memory = _needs(version)
    workload = workload_submit(
        project=deployment.project,
        created_by=by or deployment.created_by,
        name=deployment.name,
        engine=ENGINE,
        verb="serve",
        inputs=inputs,
        files={"config.yaml": yaml.safe_dump(config, allow_unicode=True, sort_keys=False)},
        is_service=True,
        gpus=gpus,
        gpu_memory_bytes=memory if gpus else 0,
        cpus=CPUS,
        memory_bytes=memory + OVERHEAD_BYTES,
        priority=PRIORITY,
    )
    return Replica.objects.create(deployment=deployment, workload=workload)


def _needs(version: ModelVersion) -> tuple[int, int]:
    """How many GPUs, and how many bytes the weights take in memory."""
    whole = version
    while whole.kind == ModelVersion.Kind.ADAPTER and whole.base is not None:
        whole = whole.base
    parameters = version.parameters or whole.parameters or 0
    has_gpu = Gpu.objects.filter(is_present=True).exists()
    gpus = 1 if has_gpu and (not parameters or parameters > SMALL_PARAMETERS) else 0
    width = 2 if gpus else 4  # bytes of one weight: half precision on a GPU
    # The cache of keys and values and the activations take about a fifth of the weights again.
    return gpus, int(max(parameters * width, whole.bytes or 0) * 1.2)


def idle_default() -> int:
    """Seconds without use after which a deployment is unloaded."""
    return int(settings.DEPLOYMENT_IDLE_SECONDS)
