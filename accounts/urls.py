"""Addresses of the app."""

from typing import Any

from django.urls import path
from rest_framework.routers import SimpleRouter

from accounts import api
from accounts.views import entrance, invitations, profile, projects

app_name = "accounts"
urlpatterns: list[Any] = [
    path("settings/", profile.profile, name="settings"),
    path("settings/email/", profile.email_change, name="email_change"),
    path("settings/email/keep/", profile.email_change_cancel, name="email_change_cancel"),
    path("settings/email/confirm/<str:key>/", profile.email_confirm, name="email_confirm"),
    path("settings/keys/", profile.api_key_list, name="api_key_list"),
    path("settings/keys/<uuid:key_id>/revoke/", profile.api_key_revoke, name="api_key_revoke"),
    path("invitations/", invitations.invitation_list, name="invitation_list"),
    path(
        "invitations/<uuid:invitation_id>/withdraw/",
        invitations.invitation_withdraw,
        name="invitation_withdraw",
    ),
    path("projects/", projects.project_list, name="project_list"),
    path("projects/new/", projects.project_create, name="project_create"),
    path("projects/current/", projects.project_current, name="project_current"),
    path("projects/<uuid:project_id>/", projects.project_detail, name="project_detail"),
    path("projects/switch/", projects.project_switch, name="project_switch"),
    path("projects/<uuid:project_id>/rename/", projects.project_rename, name="project_rename"),
    path(
        "projects/<uuid:project_id>/limits/",
        projects.project_limits_set,
        name="project_limits_set",
    ),
    path("projects/<uuid:project_id>/leave/", projects.project_leave, name="project_leave"),
    path("projects/<uuid:project_id>/delete/", projects.project_delete, name="project_delete"),
    path("projects/<uuid:project_id>/members/", projects.member_add, name="member_add"),
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
