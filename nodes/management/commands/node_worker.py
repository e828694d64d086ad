"""`manage.py node_worker`: the django-q2 worker of this node, on the node's own queue."""

import os
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from nodes.management.permission import ask_for_this_node
from nodes.models import Node
from nodes.priority import give_way


class Command(BaseCommand):
    """One per node, and as many beside it as you like: a workload is claimed by its row."""

    requires_system_checks: list[str] = []  # they load every page, which it never shows
    help = "Claims, starts and stops the workloads of this node."

    def handle(self, *args: Any, **options: Any) -> None:
        """Becomes `qcluster`, which reads the name of its queue from the environment.

        Not where the control plane refuses this node.
        """
        give_way()
        ask_for_this_node(settings.NODE_NAME)
        os.environ["Q_CLUSTER_NAME"] = Node(name=settings.NODE_NAME).queue
        command = [sys.executable, sys.argv[0], "qcluster", "--skip-checks"]
        os.execv(sys.executable, command)  # noqa: S606
