"""Sockets of the app."""

from typing import Any

from django.urls import path

from accounts.consumers import LiveConsumer

websocket_urlpatterns: list[Any] = [path("ws/live/", LiveConsumer.as_asgi())]
