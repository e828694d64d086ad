"""How allauth signs people up and in here: by invitation only, through our services."""

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.http import HttpRequest, HttpResponse

from accounts.models import Invitation, User
from accounts.services import user_register


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Keeps the door shut for those without an invitation."""

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

    def post_login(self, request: HttpRequest, user: User, **kwargs: Any) -> HttpResponse:
        """Goes on in the language the user chose on whichever machine."""
        response: HttpResponse = super().post_login(request, user, **kwargs)
        if user.language:
            response.set_cookie(
                settings.LANGUAGE_COOKIE_NAME,
                user.language,
                max_age=365 * 24 * 3600,
                samesite="Lax",
            )
        return response
