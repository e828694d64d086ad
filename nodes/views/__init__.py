"""Pages of nodes, and the logs of workloads."""

from nodes.views.images import (
    image_add,
    image_list,
    image_remove,
    image_retry,
    image_switch,
)
from nodes.views.logs import workload_log, workload_log_download
from nodes.views.machines import (
    node_cordon,
    node_detail,
    node_list,
    node_note,
    node_samples,
)

__all__ = [
    "image_add",
    "image_list",
    "image_remove",
    "image_retry",
    "image_switch",
    "node_cordon",
    "node_detail",
    "node_list",
    "node_note",
    "node_samples",
    "workload_log",
    "workload_log_download",
]
