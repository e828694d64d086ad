"""The operators' view of nodes, workloads, images and alerts."""

from nodes.admin import alerts, images, machines, workloads

__all__ = ["alerts", "images", "machines", "workloads"]
