"""Nodes, workloads, images and alerts over REST."""

from nodes.api.alerts import AlertChannelViewSet, AlertRuleViewSet, AlertViewSet
from nodes.api.entrance import HelloView, JoinView
from nodes.api.images import ImageViewSet
from nodes.api.machines import NodeViewSet
from nodes.api.tokens import NodeTokenViewSet
from nodes.api.workloads import WorkloadViewSet

__all__ = [
    "AlertChannelViewSet",
    "AlertRuleViewSet",
    "AlertViewSet",
    "HelloView",
    "ImageViewSet",
    "JoinView",
    "NodeTokenViewSet",
    "NodeViewSet",
    "WorkloadViewSet",
]
