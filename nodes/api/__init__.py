"""Nodes and workloads over REST."""

from nodes.api.machines import NodeViewSet
from nodes.api.workloads import WorkloadViewSet

__all__ = ["NodeViewSet", "WorkloadViewSet"]
