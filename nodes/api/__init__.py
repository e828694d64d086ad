"""Nodes and workloads over REST."""

from nodes.api.images import ImageViewSet
from nodes.api.machines import NodeViewSet
from nodes.api.workloads import WorkloadViewSet

__all__ = ["ImageViewSet", "NodeViewSet", "WorkloadViewSet"]
