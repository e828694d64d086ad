"""Pages of nodes, and the logs of workloads."""

from nodes.views.logs import workload_log, workload_log_download
from nodes.views.machines import (
    node_cordon,
    node_detail,
    node_list,
    node_note,
    node_samples,
)

__all__ = [
    "node_cordon",
    "node_detail",
    "node_list",
    "node_note",
    "node_samples",
    "workload_log",
    "workload_log_download",
]
