"""Everything that changes nodes and workloads."""

from nodes.services.engines import EngineMissing, engine_command, engines_installed
from nodes.services.follow import (
    workload_claim,
    workload_end,
    workload_ended,
    workload_lost,
    workload_overrun,
    workload_reclaim,
    workload_start,
    workload_started,
)
from nodes.services.keys import installation_id, serve_key
from nodes.services.machines import (
    node_beat,
    node_cordon,
    node_note,
    node_register,
    nodes_sweep,
    sample_record,
    samples_thin,
)
from nodes.services.queue import (
    queue_position,
    schedule,
    workload_priority_set,
    workload_stop,
    workload_submit,
)
from nodes.services.reasons import reason_text

__all__ = [
    "EngineMissing",
    "engine_command",
    "engines_installed",
    "installation_id",
    "node_beat",
    "node_cordon",
    "node_note",
    "node_register",
    "nodes_sweep",
    "queue_position",
    "reason_text",
    "sample_record",
    "samples_thin",
    "schedule",
    "serve_key",
    "workload_claim",
    "workload_end",
    "workload_ended",
    "workload_lost",
    "workload_overrun",
    "workload_priority_set",
    "workload_reclaim",
    "workload_start",
    "workload_started",
    "workload_stop",
    "workload_submit",
]
