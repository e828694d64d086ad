"""Addresses of the app."""

from typing import Any

app_name = "jobs"
urlpatterns: list[Any] = []
api_urlpatterns: list[Any] = []
