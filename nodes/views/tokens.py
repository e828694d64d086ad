"""The page on which operators let machines in."""

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from accounts.http import actor, operator_required
from common.errors import DomainError
from common.forms import add_refusal
from common.phrases import gettext as _
from nodes import services
from nodes.forms import NodeTokenForm
from nodes.models import NodeToken

SHOWN = 50


@operator_required
@require_http_methods(["GET", "HEAD", "POST"])
def node_token_list(request: HttpRequest) -> HttpResponse:
    """All tokens, and a new one, which is shown in the answer to the form and never again."""
    form = NodeTokenForm(request.POST if request.method == "POST" else None)
    made, token = None, ""
    if form.is_valid():
        try:
            made, token = services.node_token_create(by=actor(request), **form.cleaned_data)
        except DomainError as refused:
            add_refusal(form, refused)
    page = {
        "nav": "nodes",
        "form": NodeTokenForm() if made else form,
        "tokens": NodeToken.objects.visible_to(actor(request)).select_related("node")[:SHOWN],
        "made": made,
        "token": token,
        "url": request.build_absolute_uri("/").rstrip("/"),
    }
    refused_form = form.is_bound and made is None
    status = 422 if refused_form else 200
    response = render(request, "nodes/node_token_list.html", page, status=status)
    if made:
        response["Cache-Control"] = "no-store"
    return response


@operator_required
@require_POST
def node_token_revoke(request: HttpRequest, token_id: uuid.UUID) -> HttpResponse:
    """Closes a token."""
    by = actor(request)
    token = get_object_or_404(NodeToken.objects.editable_by(by), pk=token_id)
    services.node_token_revoke(token.pk, by=by)
    messages.success(request, _("The token %(prefix)s… opens nothing.") % {"prefix": token.prefix})
    return redirect("nodes:node_token_list")
