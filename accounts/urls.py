"""Addresses of the app."""

from typing import Any

from django.urls import path
from rest_framework.routers import SimpleRouter

from accounts import api, views

app_name = "accounts"
urlpatterns: list[Any] = [
    path("settings/", views.profile, name="settings"),
    path("settings/keys/", views.api_key_list, name="api_key_list"),
    path("settings/keys/<uuid:key_id>/revoke/", views.api_key_revoke, name="api_key_revoke"),
    path("projects/", views.project_list, name="project_list"),
    path("projects/new/", views.project_create, name="project_create"),
    path("projects/current/", views.project_current, name="project_current"),
    path("projects/<uuid:project_id>/", views.project_detail, name="project_detail"),
    path("projects/switch/", views.project_switch, name="project_switch"),
    path("projects/<uuid:project_id>/rename/", views.project_rename, name="project_rename"),
    path("projects/<uuid:project_id>/limits/", views.project_limits_set, name="project_limits_set"),
    path("projects/<uuid:project_id>/leave/", views.project_leave, name="project_leave"),
    path("projects/<uuid:project_id>/members/", views.member_add, name="member_add"),
    path(
        "projects/<uuid:project_id>/members/<uuid:user_id>/",
        views.member_set,
        name="member_set",
    ),
    path(
        "projects/<uuid:project_id>/members/<uuid:user_id>/remove/",
        views.member_remove,
        name="member_remove",
    ),
]

router = SimpleRouter()
router.register("keys", api.KeyViewSet, basename="api-key")
router.register("projects", api.ProjectViewSet, basename="api-project")
router.register("invitations", api.InvitationViewSet, basename="api-invitation")
api_urlpatterns: list[Any] = [
    path("register/", api.RegisterView.as_view(), name="api-register"),
    path("login/", api.LoginView.as_view(), name="api-login"),
    path("me/", api.MeView.as_view(), name="api-me"),
    path("me/password/", api.PasswordView.as_view(), name="api-me-password"),
    *router.urls,
]
