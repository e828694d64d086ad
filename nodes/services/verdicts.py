"""How a workload ended, as its exit, its result file and its log tell."""

from typing import Any

from common.phrases import gettext as _
from common.phrases import ngettext
from common.texts import json_of
from nodes.models import Workload
from nodes.runners import Exit
from nodes.runners.files import facts_of
from nodes.services.reasons import size_text

Outcome = Workload.Outcome
EXIT_STOPPED = 75  # the entrypoint's status for: stopped on request, with a checkpoint
LOG_TAIL_BYTES = 16_384
ERROR_MARK = "trainer-error: "


def is_contained(workload: Workload) -> bool:
    """Whether its node runs containers."""
    return workload.node is not None and workload.node.runner == "docker"


def facts_of_end(end: Exit, result: str, error: dict[str, Any] | None) -> dict[str, Any]:
    """What is kept of an end: memory, seconds, result and error."""
    facts: dict[str, Any] = {
        "max_rss_bytes": end.max_rss_bytes,
        "seconds": round(end.ended_at - end.started_at, 3),
        "result": result,
    }
    if error:
        facts["error"] = error
    return facts


def judge(
    workload: Workload,
    end: Exit,
    result: str,
    error: dict[str, Any] | None,
) -> tuple[str, str]:
    """Outcome and reason. Well is only: status 0 and the finished result of this epoch."""
    stop_asked = bool(workload.stop_mode)
    if end.code == 0 and result == "finished" and not (workload.is_service and stop_asked):
        return Outcome.OK, ""
    if end.timeout:
        limit = workload.wall_seconds or 0
        return Outcome.TIMEOUT, ngettext(
            "Its time limit of %(seconds)s second was over.",
            "Its time limit of %(seconds)s seconds was over.",
            limit,
        ) % {"seconds": limit}
    if "memory_overrun_bytes" in workload.end_facts:
        return Outcome.OOM, _("Its processes used more than its %(size)s of memory.") % {
            "size": size_text(workload.memory_limit_bytes or 0)
        }
    if stop_asked or (end.code == EXIT_STOPPED and result == "stopped"):
        return Outcome.STOPPED, workload.reason
    if end.oom:
        return Outcome.OOM, _whose_memory(workload, end)
    if error:
        kind = Outcome.OOM if error.get("class") == "oom" else Outcome.ERROR
        return kind, str(error.get("message") or error.get("type") or "")
    if end.detail:
        return Outcome.ERROR, end.detail
    if end.signal is not None:
        return Outcome.ERROR, _("Its process was ended by signal %(signal)s.") % {
            "signal": end.signal
        }
    if end.code == 0:
        return Outcome.ERROR, _("Its process ended without having finished its work.")
    if end.code is None:
        return Outcome.ERROR, _("Its process is gone, and nothing says how it ended.")
    return Outcome.ERROR, _("Its process ended with status %(code)s.") % {"code": end.code}


def _whose_memory(workload: Workload, end: Exit) -> str:
    """Which memory was full, as far as that is known."""
    if end.met_limit is None:
        return _("Memory was full, and the system ended it.")
    if not end.met_limit:
        return _("The machine's memory was full, and the system ended the process.")
    if not workload.memory_bound_bytes:  # it was started before that was written down
        return _("It used more than its memory, and the system ended it.")
    size = size_text(workload.memory_bound_bytes)
    return _("It used more than its %(size)s of memory, and the system ended it.") % {"size": size}


def result_of(workload: Workload) -> str:
    """The status in this epoch's result file, empty when there is none."""
    content = facts_of(workload.facts_path("result")) or {}
    return str(content.get("status", "")) if content.get("epoch") == workload.epoch else ""


def error_of_log(workload: Workload) -> dict[str, Any] | None:
    """What the entrypoint's last error line says."""
    try:
        with workload.log_path.open("rb") as log:
            log.seek(0, 2)
            log.seek(max(0, log.tell() - LOG_TAIL_BYTES))
            lines = log.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        if line.startswith(ERROR_MARK):
            try:
                facts = json_of(line.removeprefix(ERROR_MARK))
            except ValueError:
                return None
            return facts if isinstance(facts, dict) else None
    return None
