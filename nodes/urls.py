"""Addresses of the app."""

from typing import Any

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from nodes import api, views
from nodes.staging import api as staging

app_name = "nodes"

urlpatterns: list[Any] = [
    path("", views.node_list, name="node_list"),
    path("<uuid:node_id>/", views.node_detail, name="node_detail"),
    path("<uuid:node_id>/samples/", views.node_samples, name="node_samples"),
    path("<uuid:node_id>/cordon/", views.node_cordon, name="node_cordon"),
    path("<uuid:node_id>/note/", views.node_note, name="node_note"),
    path("<uuid:node_id>/drain/", views.node_drain, name="node_drain"),
    path("<uuid:node_id>/release/", views.node_release, name="node_release"),
    path("<uuid:node_id>/remove/", views.node_remove, name="node_remove"),
    path("join/", views.node_token_list, name="node_token_list"),
    path("join/<uuid:token_id>/revoke/", views.node_token_revoke, name="node_token_revoke"),
    path("alerts/", views.alert_list, name="alert_list"),
    path("alerts/rules/<slug:kind>/", views.alert_rule_set, name="alert_rule_set"),
    path("alerts/channels/", views.alert_channel_create, name="alert_channel_create"),
    path(
        "alerts/channels/<uuid:channel_id>/switch/",
        views.alert_channel_switch,
        name="alert_channel_switch",
    ),
    path(
        "alerts/channels/<uuid:channel_id>/test/",
        views.alert_channel_test,
        name="alert_channel_test",
    ),
    path(
        "alerts/channels/<uuid:channel_id>/delete/",
        views.alert_channel_delete,
        name="alert_channel_delete",
    ),
    path("images/", views.image_list, name="image_list"),
    path("images/add/", views.image_add, name="image_add"),
    path("images/<uuid:image_id>/switch/", views.image_switch, name="image_switch"),
    path("images/<uuid:image_id>/retry/", views.image_retry, name="image_retry"),
    path("images/<uuid:image_id>/remove/", views.image_remove, name="image_remove"),
    path("workloads/<uuid:workload_id>/log/", views.workload_log, name="workload_log"),
    path(
        "workloads/<uuid:workload_id>/log/download/",
        views.workload_log_download,
        name="workload_log_download",
    ),
]

router = SimpleRouter()
router.register("nodes", api.NodeViewSet, basename="api-node")
router.register("node-tokens", api.NodeTokenViewSet, basename="api-node-token")
router.register("alerts", api.AlertViewSet, basename="api-alert")
router.register("alert-rules", api.AlertRuleViewSet, basename="api-alert-rule")
router.register("alert-channels", api.AlertChannelViewSet, basename="api-alert-channel")
router.register("images", api.ImageViewSet, basename="api-image")
router.register("workloads", api.WorkloadViewSet, basename="api-workload")
_workload = "agent/workloads/<uuid:workload_id>/<int:epoch>"
api_urlpatterns: list[Any] = [
    path("", include(router.urls)),
    path("agent/", staging.AgentHome.as_view(), name="api-agent-home"),
    path("agent/growth/", staging.AgentGrowth.as_view(), name="api-agent-growth"),
    path(
        f"{_workload}/inputs/<str:name>/",
        staging.AgentInput.as_view(),
        name="api-agent-input",
    ),
    path(
        f"{_workload}/inputs/<str:name>/file/",
        staging.AgentInputFile.as_view(),
        name="api-agent-input-file",
    ),
    path(f"{_workload}/outputs/", staging.AgentOutputs.as_view(), name="api-agent-outputs"),
    path(
        f"{_workload}/outputs/<str:sha256>/",
        staging.AgentOutputBytes.as_view(),
        name="api-agent-output-bytes",
    ),
    path("agent/join/", api.JoinView.as_view(), name="api-agent-join"),
    path("agent/hello/", api.HelloView.as_view(), name="api-agent-hello"),
]
