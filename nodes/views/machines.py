"""Pages of nodes."""

import uuid
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST
from django.views.decorators.vary import vary_on_headers

from accounts.http import actor
from common.htmx import HtmxRequest, wants_fragment
from common.phrases import gettext as _
from nodes import curves, overview, services
from nodes.forms import NoteForm
from nodes.models import Node, Workload


@login_required
@require_GET
@vary_on_headers("HX-Request")
def node_list(request: HtmxRequest) -> HttpResponse:
    """All nodes, and what waits for them."""
    user = actor(request)
    cards = overview.cards_of(user, list(Node.objects.visible_to(user)))
    devices = [device for card in cards for device in card.devices]
    context = {
        "nav": "nodes",
        "cards": cards,
        "queue": overview.queue_of(user),
        "waiting": Workload.objects.waiting().count(),
        "devices": len(devices),
        "devices_free": sum(not device.holder for device in devices),
        "cpus": sum(card.node.cpu_count for card in cards),
        "topics": ",".join(str(card.node.pk) for card in cards),
    }
    fragment = wants_fragment(request.htmx)
    return render(request, "nodes/_node_rows.html" if fragment else "nodes/node_list.html", context)


@login_required
@require_GET
@vary_on_headers("HX-Request")
def node_detail(request: HtmxRequest, node_id: uuid.UUID) -> HttpResponse:
    """One node: its load now and over time, and what runs."""
    user = actor(request)
    node = get_object_or_404(Node.objects.visible_to(user), pk=node_id)
    context = _node_context(request, node, NoteForm(initial={"note": node.note}))
    fragment = wants_fragment(request.htmx)
    name = "nodes/_node_now.html" if fragment else "nodes/node_detail.html"
    return render(request, name, context)


def _node_context(request: HttpRequest, node: Node, note_form: NoteForm) -> dict[str, Any]:
    user = actor(request)
    span = request.GET.get("span", "hour")
    return {
        "nav": "nodes",
        "card": overview.cards_of(user, [node])[0],
        "note_form": note_form,
        "span": span if span in curves.SPANS else "hour",
        "spans": (("hour", _("Hour")), ("day", _("Day")), ("month", _("Month"))),
        "is_operator": user.is_staff,
    }


@login_required
@require_GET
def node_samples(request: HttpRequest, node_id: uuid.UUID) -> JsonResponse:
    """The node's curves for `<c-chart>`: `span` one of `curves.SPANS`, `of` one of `CURVES`."""
    node = get_object_or_404(Node.objects.visible_to(actor(request)), pk=node_id)
    span, of = (request.GET.get(name, "") for name in ("span", "of"))
    return JsonResponse(curves.curves(node, span, of))


@login_required
@require_POST
def node_cordon(request: HttpRequest, node_id: uuid.UUID) -> HttpResponse:
    """Takes no new work from now on, or takes it again (`cordoned=0`)."""
    user = actor(request)
    node = get_object_or_404(Node.objects.editable_by(user), pk=node_id)
    services.node_cordon(node.pk, cordoned=request.POST.get("cordoned") != "0", by=user)
    return redirect("nodes:node_detail", node.pk)


@login_required
@require_POST
def node_note(request: HttpRequest, node_id: uuid.UUID) -> HttpResponse:
    """A remark for everybody."""
    user = actor(request)
    node = get_object_or_404(Node.objects.editable_by(user), pk=node_id)
    form = NoteForm(request.POST)
    if form.is_valid():
        services.node_note(node.pk, note=form.cleaned_data["note"], by=user)
        return redirect("nodes:node_detail", node.pk)
    context = _node_context(request, node, form)
    return render(request, "nodes/node_detail.html", context, status=422)
