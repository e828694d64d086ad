"""Addresses of the app."""

from typing import Any

app_name = "inference"
urlpatterns: list[Any] = []
api_urlpatterns: list[Any] = []
gateway_urlpatterns: list[Any] = []
