"""Addresses of the app."""

from typing import Any

from allauth.account import views as allauth
from django.urls import path, re_path
from rest_framework.routers import SimpleRouter

from accounts import api, schema  # noqa: F401  the schema is told about our keys
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
        projects.member_set,
        name="member_set",
    ),
    path(
        "projects/<uuid:project_id>/members/<uuid:user_id>/remove/",
        projects.member_remove,
        name="member_remove",
    ),
]

# allauth's own names, which it looks up. Of its pages only those that are used have an address.
entrance_urlpatterns: list[Any] = [
    path("login/", entrance.LoginView.as_view(), name="account_login"),
    path("logout/", allauth.logout, name="account_logout"),
    path("inactive/", allauth.account_inactive, name="account_inactive"),
    path("signup/", entrance.SignupView.as_view(), name="account_signup"),
    path("password/change/", entrance.PasswordChangeView.as_view(), name="account_change_password"),
    path("password/set/", entrance.PasswordSetView.as_view(), name="account_set_password"),
    path("password/reset/", entrance.PasswordResetView.as_view(), name="account_reset_password"),
    path("password/reset/done/", allauth.password_reset_done, name="account_reset_password_done"),
    re_path(
        r"^password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$",
        entrance.PasswordResetFromKeyView.as_view(),
        name="account_reset_password_from_key",
    ),
    path(
        "password/reset/key/done/",
        allauth.password_reset_from_key_done,
        name="account_reset_password_from_key_done",
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
    path("me/email/", api.EmailView.as_view(), name="api-me-email"),
    path("me/email/confirm/", api.EmailConfirmView.as_view(), name="api-me-email-confirm"),
    path("me/password/", api.PasswordView.as_view(), name="api-me-password"),
    *router.urls,
]
