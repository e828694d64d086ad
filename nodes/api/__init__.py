"""Nodes and workloads over REST."""

from nodes.api.entrance import HelloView, JoinView
from nodes.api.images import ImageViewSet
from nodes.api.machines import NodeViewSet
from nodes.api.workloads import WorkloadViewSet

__all__ = ["HelloView", "ImageViewSet", "JoinView", "NodeViewSet", "WorkloadViewSet"]
