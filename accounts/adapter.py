"""How allauth signs people up and in here: by invitation only, through our services."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import get_language, override
from django.utils.translation import gettext_lazy as _

from accounts.models import Invitation, User
from accounts.services import user_register

WRONG = _(
    "The name or the password is not right. Check both, or set a new password if you forgot it."
)


class AccountAdapter(DefaultAccountAdapter):
    """Keeps the door shut for those without an invitation."""

    error_messages = {
        **DefaultAccountAdapter.error_messages,
        "username_password_mismatch": WRONG,
        "email_password_mismatch": WRONG,
        "too_many_login_attempts": _(
            "Too many wrong passwords for this name or from your network. Wait five minutes, then"
            " try again, also with the right one."
        ),
    }

    def is_ajax(self, request: HttpRequest) -> bool:
        """Never: these pages are for people, programs use the REST API."""
        return False

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        """Back to where the change began."""
        return reverse("accounts:settings")

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Open once an operator has ever made an invitation; the form then asks for the code."""
        return bool(Invitation.objects.exists())

    def save_user(self, request: HttpRequest, user: User, form: Any, commit: bool = True) -> User:
        """Registers through the service that the API uses too; DomainError as it says."""
        data = form.cleaned_data
        return user_register(
            username=data["username"],
            email=data["email"],
            password=data["password1"],
            code=data["code"],
        )

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """In the language of whoever gets it; of whoever asked for it when that is unknown."""
        language = getattr(context.get("user"), "language", "")
        with override(language or get_language()):
            super().send_mail(template_prefix, email, context)

    def post_login(self, request: HttpRequest, user: User, **kwargs: Any) -> HttpResponse:
        """Goes on in the language and the project that the user chose on whichever machine."""
        response: HttpResponse = super().post_login(request, user, **kwargs)
        if user.last_project_id:
            request.session["project"] = str(user.last_project_id)
        if user.language:
            response.set_cookie(
                settings.LANGUAGE_COOKIE_NAME,
                user.language,
                max_age=365 * 24 * 3600,
                samesite="Lax",
            )
        return response
