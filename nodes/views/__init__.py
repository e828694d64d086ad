"""Pages of nodes, images and alerts, and the logs of workloads."""

from nodes.views.alerts import (
    alert_channel_create,
    alert_channel_delete,
    alert_channel_switch,
    alert_channel_test,
    alert_list,
    alert_rule_set,
)
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
    node_drain,
    node_list,
    node_note,
    node_release,
    node_remove,
    node_samples,
)
from nodes.views.tokens import node_token_list, node_token_revoke

__all__ = [
    "alert_channel_create",
    "alert_channel_delete",
    "alert_channel_switch",
    "alert_channel_test",
    "alert_list",
    "alert_rule_set",
    "image_add",
    "image_list",
    "image_remove",
    "image_retry",
    "image_switch",
    "node_cordon",
    "node_detail",
    "node_drain",
    "node_list",
    "node_note",
    "node_release",
    "node_remove",
    "node_samples",
    "node_token_list",
    "node_token_revoke",
    "workload_log",
    "workload_log_download",
]
