"""Pages on which operators let people in."""

import uuid
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from accounts import services
from accounts.forms import InvitationFilterForm, InvitationForm
from accounts.http import actor, operator_required
from accounts.models import Invitation
from common.forms import accepted
from common.htmx import HtmxRequest, wants_fragment
from common.phrases import gettext as _

PER_PAGE = 30
LOOKS = {
    Invitation.State.OPEN: "ok",
    Invitation.State.USED_UP: "off",
    Invitation.State.EXPIRED: "off",
    Invitation.State.WITHDRAWN: "no",
}


@operator_required
@require_http_methods(["GET", "HEAD", "POST"])
@vary_on_headers("HX-Request")
def invitation_list(request: HtmxRequest) -> HttpResponse:
    """All invitations, and a new one, whose code is shown in the answer and never again."""
    user = actor(request)
    form = InvitationForm(request.POST if request.method == "POST" else None, by=user)
    made: list[tuple[Invitation, str]] = []

    def create(data: dict[str, Any]) -> None:
        days = data.pop("expires_in_days") or None
        made.append(services.invitation_create(created_by=user, expires_in_days=days, **data))

    refused = form.is_bound and not accepted(form, create)
    page = _listed(request) | {
        "nav": "invitations",
        "form": form if refused else InvitationForm(by=user),
        "made": made[0][0] if made else None,
        "code": made[0][1] if made else "",
        "link": signup_link(request, made[0][1]) if made else "",
    }
    name = "_invitation_rows" if wants_fragment(request.htmx) else "invitation_list"
    response = render(request, f"accounts/{name}.html", page, status=422 if refused else 200)
    if made:
        response["Cache-Control"] = "no-store"
    return response


def signup_link(request: HttpRequest, code: str) -> str:
    """The page that registers with the code."""
    return request.build_absolute_uri(reverse("account_signup")) + f"?code={code}"


def _listed(request: HttpRequest) -> dict[str, Any]:
    """What the filters leave of the list."""
    filters = InvitationFilterForm(request.GET)
    filters.is_valid()
    words, state = filters.cleaned_data.get("q", ""), filters.cleaned_data.get("state", "")
    everything = Invitation.objects.visible_to(actor(request))
    rows = everything.with_words(words) if words else everything
    rows = rows.in_state(state) if state else rows
    rows = rows.select_related("project", "created_by")
    page = Paginator(rows, PER_PAGE).get_page(request.GET.get("page"))
    return {
        "filters": filters,
        "page": page,
        "rows": [{"invitation": row, "look": LOOKS[Invitation.State(row.state)]} for row in page],
        "open": everything.in_state(Invitation.State.OPEN).count(),
        "has_any": bool(page.paginator.count) or everything.exists(),
    }


@operator_required
@require_POST
def invitation_withdraw(request: HttpRequest, invitation_id: uuid.UUID) -> HttpResponse:
    """Closes an invitation for good."""
    rows = Invitation.objects.editable_by(actor(request))
    invitation = get_object_or_404(rows, pk=invitation_id)
    services.invitation_withdraw(invitation.pk, by=actor(request))
    messages.success(
        request,
        _("The invitation %(prefix)s… opens nothing any more.") % {"prefix": invitation.prefix},
    )
    return redirect("accounts:invitation_list")
