"""Addresses of the app."""

from typing import Any

app_name = "nodes"
urlpatterns: list[Any] = []
api_urlpatterns: list[Any] = []
