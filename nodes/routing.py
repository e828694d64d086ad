"""Sockets of the app."""

from typing import Any

from django.urls import path

from nodes.consumers import LogConsumer

websocket_urlpatterns: list[Any] = [
    path("ws/workloads/<uuid:workload_id>/log/", LogConsumer.as_asgi()),
]
