"""Pages about oneself: name, language, e-mail address, API keys."""

import uuid
from typing import Any

from allauth.decorators import rate_limit
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from accounts import services
from accounts.forms import ApiKeyForm, EmailForm, ProfileForm
from accounts.http import actor
from accounts.models import ApiKey, Membership
from common.errors import DomainError
from common.forms import accepted
from common.phrases import gettext as _


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def profile(request: HttpRequest) -> HttpResponse:
    """Name and language of oneself."""
    user = actor(request)
    if request.method != "POST":
        return _profile_page(request)
    form = ProfileForm(request.POST)
    if not accepted(form, lambda data: services.user_profile_set(user.pk, **data)):
        return _profile_page(request, form=form)
    messages.success(request, _("Saved."))
    response = redirect("accounts:settings")
    _speak(response, form.cleaned_data["language"])
    return response


def _profile_page(request: HttpRequest, **forms: Form) -> HttpResponse:
    """The page of oneself, with a refused form in the place of a fresh one."""
    user = actor(request)
    page = {
        "nav": "settings",
        "form": ProfileForm(initial={"first_name": user.first_name, "language": user.language}),
        "email_form": EmailForm(),
        "confirms": services.mail_goes_out(),
        "keys": ApiKey.objects.visible_to(user).count(),
        "memberships": Membership.objects.filter(user=user).select_related("project"),
        **forms,
    }
    return render(request, "accounts/profile.html", page, status=422 if forms else 200)


@login_required
@require_POST
@rate_limit(action="manage_email")  # type: ignore[untyped-decorator]
def email_change(request: HttpRequest) -> HttpResponse:
    """Asks for another e-mail address; the password is asked for, too."""
    user, form = actor(request), EmailForm(request.POST)

    def link_to(key: str) -> str:
        return request.build_absolute_uri(reverse("accounts:email_confirm", args=[key]))

    if not accepted(form, lambda data: services.email_change(user.pk, link_to=link_to, **data)):
        return _profile_page(request, email_form=form)
    if services.mail_goes_out():
        text = _("A link is on its way to %(email)s. The address counts when it is opened.")
        messages.info(request, text % {"email": form.cleaned_data["email"]})
    else:
        messages.success(request, _("Saved."))
    return redirect("accounts:settings")


@login_required
@require_POST
def email_change_cancel(request: HttpRequest) -> HttpResponse:
    """Leaves the address as it is."""
    services.email_change_cancel(actor(request).pk)
    messages.success(request, _("Your e-mail address stays as it is."))
    return redirect("accounts:settings")


@require_http_methods(["GET", "HEAD", "POST"])
def email_confirm(request: HttpRequest, key: str) -> HttpResponse:
    """What the message to a new address leads to; opening it changes nothing, the button does.

    No log-in is asked for: the link may be opened on another machine.
    """
    page: dict[str, Any] = {}
    try:
        if request.method == "POST":
            user = services.email_confirm(key)
            messages.success(request, _("%(email)s is your address now.") % {"email": user.email})
            return redirect("accounts:settings")
        page["email"] = services.email_waiting(key)
    except DomainError as refused:
        page["refused"] = refused.message
    status = 422 if "refused" in page else 200
    response = render(request, "accounts/email_confirm.html", page, status=status)
    response["Cache-Control"] = "no-store"
    return response


def _speak(response: HttpResponse, language: str) -> None:
    """Keeps the language for this browser, or leaves it to the browser's own wish."""
    if language:
        age = 365 * 24 * 3600
        response.set_cookie(settings.LANGUAGE_COOKIE_NAME, language, max_age=age, samesite="Lax")
    else:
        response.delete_cookie(settings.LANGUAGE_COOKIE_NAME)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def api_key_list(request: HttpRequest) -> HttpResponse:
    """One's keys, and a new one, which is shown in the answer to the form and never again."""
    user = actor(request)
    form = ApiKeyForm(request.POST if request.method == "POST" else None)
    made: list[tuple[ApiKey, str]] = []

    def create(data: dict[str, Any]) -> None:
        days = data.pop("expires_in_days") or None
        made.append(services.api_key_create(user, expires_in_days=days, **data))

    refused = form.is_bound and not accepted(form, create)
    page = {
        "nav": "settings",
        "form": form if refused else ApiKeyForm(),
        "keys": ApiKey.objects.visible_to(user),
        "key": made[0][0] if made else None,
        "secret": made[0][1] if made else "",
        "base_url": request.build_absolute_uri("/v1"),
    }
    response = render(request, "accounts/api_key_list.html", page, status=422 if refused else 200)
    if made:
        response["Cache-Control"] = "no-store"
    return response


@login_required
@require_POST
def api_key_revoke(request: HttpRequest, key_id: uuid.UUID) -> HttpResponse:
    """Ends one of one's own keys."""
    key = get_object_or_404(ApiKey.objects.editable_by(actor(request)), pk=key_id)
    services.api_key_revoke(key.pk, by=actor(request))
    messages.success(request, _("The key “%(name)s” opens nothing any more.") % {"name": key.name})
    return redirect("accounts:api_key_list")
