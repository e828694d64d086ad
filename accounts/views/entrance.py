"""The way in: allauth's pages, which answer as ours do when they refuse."""

from http import HTTPStatus
from typing import Any

from allauth.account import views
from django.core.exceptions import NON_FIELD_ERRORS
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

# Wrong passwords are counted over five minutes, everything else over one.
LOGIN_SECONDS, OTHER_SECONDS = 300, 60


class Refusing:
    """Mixed in: an answer to a POST that is a page and leads nowhere is a refusal.

    422 with the fields and the reasons, 429 after too many wrong passwords.
    """

    request: HttpRequest

    def render_to_response(self, context: dict[str, Any], **kwargs: Any) -> HttpResponse:
        """The page with the status that fits."""
        response: HttpResponse = super().render_to_response(  # type: ignore[misc]
            context, **kwargs
        )
        if self.request.method != "POST":
            return response
        response.status_code = HTTPStatus.UNPROCESSABLE_ENTITY
        form = context.get("form")
        if form is not None and form.has_error(NON_FIELD_ERRORS, "too_many_login_attempts"):
            response.status_code = HTTPStatus.TOO_MANY_REQUESTS
            response["Retry-After"] = str(LOGIN_SECONDS)
        return response


class LoginView(Refusing, views.LoginView):
    """Logging in."""


class SignupView(Refusing, views.SignupView):
    """Registering by invitation."""

    def closed(self) -> HttpResponse:
        """Says that there is no registration here."""
        status = HTTPStatus.FORBIDDEN if self.request.method == "POST" else HTTPStatus.OK
        return render(self.request, "account/signup_closed.html", status=status)


class PasswordChangeView(Refusing, views.PasswordChangeView):
    """Another password."""


class PasswordSetView(Refusing, views.PasswordSetView):
    """A first password for an account without one."""


class PasswordResetView(Refusing, views.PasswordResetView):
    """A link for a forgotten password."""


class PasswordResetFromKeyView(Refusing, views.PasswordResetFromKeyView):
    """A new password by such a link."""


def too_many(request: HttpRequest) -> HttpResponse:
    """Too many requests of one kind."""
    response = render(request, "429.html", status=HTTPStatus.TOO_MANY_REQUESTS)
    response["Retry-After"] = str(OTHER_SECONDS)
    return response
