"""Where things run: nodes, GPUs, the queue of workloads, leases, samples."""

from nodes.models.images import Image
from nodes.models.machines import Gpu, Node
from nodes.models.samples import NodeSample
from nodes.models.staging import FileDigest
from nodes.models.workloads import Lease, Workload

__all__ = ["FileDigest", "Gpu", "Image", "Lease", "Node", "NodeSample", "Workload"]
