"""The operators' view of nodes, workloads, files, images and alerts."""

from nodes.admin import alerts, images, machines, staging, workloads

__all__ = ["alerts", "images", "machines", "staging", "workloads"]
