"""Addresses of the app."""

from typing import Any

from django.urls import path, re_path
from rest_framework.routers import SimpleRouter

from inference import api, gateway, views

app_name = "inference"
_deployment = "deployments/<uuid:deployment_id>/"
_conversation = "playground/<uuid:conversation_id>/"
urlpatterns: list[Any] = [
    path("deployments/", views.deployment_list, name="deployment_list"),
    path("deployments/new/", views.deployment_create, name="deployment_create"),
    path(_deployment, views.deployment_detail, name="deployment_detail"),
    path(f"{_deployment}log/", views.deployment_log, name="deployment_log"),
    path(f"{_deployment}stop/", views.deployment_stop, name="deployment_stop"),
    path(f"{_deployment}restart/", views.deployment_restart, name="deployment_restart"),
    path(f"{_deployment}delete/", views.deployment_delete, name="deployment_delete"),
    path("playground/", views.playground, name="playground"),
    path("playground/new/", views.conversation_create, name="conversation_create"),
    path("playground/conversations/", views.conversation_list, name="conversation_list"),
    path(_conversation, views.conversation_detail, name="conversation_detail"),
    path(f"{_conversation}settings/", views.conversation_settings, name="conversation_settings"),
    path(f"{_conversation}rename/", views.conversation_rename, name="conversation_rename"),
    path(f"{_conversation}delete/", views.conversation_delete, name="conversation_delete"),
    path(f"{_conversation}ask/", views.conversation_ask, name="conversation_ask"),
]

router = SimpleRouter()
router.register("deployments", api.DeploymentViewSet, basename="api-deployment")
router.register("conversations", api.ConversationViewSet, basename="api-conversation")
api_urlpatterns: list[Any] = router.urls

gateway_urlpatterns: list[Any] = [
    path("chat/completions", gateway.chat_completions, name="gateway-chat"),
    path("models", gateway.model_list, name="gateway-models"),
    path("models/<path:name>", gateway.model_detail, name="gateway-model"),
    re_path(r"^.*$", gateway.unknown, name="gateway-unknown"),
]
