"""Where things run: nodes, GPUs, the queue of workloads, leases, samples, alerts."""

from nodes.models.alerts import Alert, AlertChannel, AlertDelivery, AlertRule
from nodes.models.images import Image
from nodes.models.machines import Gpu, HardwareError, Node, NodeToken
from nodes.models.samples import NodeSample
from nodes.models.staging import FileDigest
from nodes.models.workloads import Lease, PlanRequest, Workload

__all__ = [
    "Alert",
    "AlertChannel",
    "AlertDelivery",
    "AlertRule",
    "FileDigest",
    "Gpu",
    "HardwareError",
    "Image",
    "Lease",
    "Node",
    "NodeSample",
    "NodeToken",
    "PlanRequest",
    "Workload",
]
