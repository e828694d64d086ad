"""What a node and an engine do to a workload, by the services that they use."""

import json
import time
from pathlib import Path
from typing import Any

from django.utils import timezone

from jobs import services
from jobs.models import Attempt, Job
from nodes.models import Node, Workload
from nodes.services import workload_claim, workload_end, workload_started
from nodes.services.moves import locked as workload_locked
from nodes.services.moves import move as workload_move
from tests.registry.parts import weights


def newest(job: Job) -> Attempt:
    """The newest attempt, fresh."""
    found = Attempt.objects.select_related("workload").filter(job=job).last()
    assert found is not None
    return found


def fresh(job: Job) -> Job:
    """The row as it is now."""
    return Job.objects.get(pk=job.pk)


def place(job: Job) -> Workload:
    """A node takes the newest attempt, and is about to start it."""
    workload = newest(job).workload
    if workload.state == Workload.State.WAITING:
        held = workload_locked(workload.pk)
        held.node, held.placed_at = Node.objects.first(), timezone.now()
        workload_move(held, Workload.State.PLACED, fields=("node", "placed_at"))
        workload = held
    claimed = workload_claim(workload.pk, workload.epoch)
    assert claimed is not None
    return claimed


def begin(job: Job) -> Workload:
    """The node starts the newest attempt."""
    claimed = place(job)
    workload_started(claimed.pk, claimed.epoch)
    workload = Workload.objects.get(pk=claimed.pk)
    (workload.directory / "output").mkdir(parents=True, exist_ok=True)
    for name, text in workload.files.items():
        (workload.directory / name).write_text(text)
    services.workload_follow(workload.pk)
    return workload


def write(job: Job, *rows: dict[str, Any], end: str = "\n") -> None:
    """Appends to the metric file."""
    with newest(job).workload.metrics_path.open("a") as file:
        file.write("".join(json.dumps({"time": time.time(), **row}) + end for row in rows))


def log(step: int, total: int = 20, **values: float) -> dict[str, Any]:
    """A row that the engine reports."""
    values = values or {"loss": 3 - step / 10, "learning_rate": 1e-4, "grad_norm": 1.0}
    return {"kind": "log", "step": step, "total": total, "epoch": step / 10, "values": values}


def checkpoint(job: Job, step: int) -> dict[str, Any]:
    """Saves a checkpoint with weights; the row that names it."""
    folder = newest(job).workload.directory / "output" / f"checkpoint-{step}"
    weights(folder)
    (folder / "optimizer.pt").write_bytes(b"0" * 64)
    return {"kind": "checkpoint", "step": step, "name": f"checkpoint-{step}"}


def finish(job: Job, outcome: str = "ok", reason: str = "", **result: Any) -> Job:
    """The process ends, and what follows from it is done."""
    workload = newest(job).workload
    status = {"ok": "finished", "stopped": "stopped"}.get(outcome)
    if status:
        facts = {"epoch": workload.epoch, "status": status, "steps": 20, **result}
        workload.facts_path("result").write_text(json.dumps(facts))
    assert workload_end(workload.pk, workload.epoch, outcome=outcome, reason=reason)
    services.workload_follow(workload.pk)
    services.job_finish(job.pk)
    return fresh(job)


def output(job: Job) -> Path:
    """Where the newest attempt writes."""
    return newest(job).workload.directory / "output"
