"""Pages of nodes."""

import uuid
from functools import partial
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST
from django.views.decorators.vary import vary_on_headers

from accounts.http import actor
from accounts.models import Event
from common.acting import acted
from common.htmx import HtmxRequest, wants_fragment
from common.phrases import gettext as _
from nodes import curves, overview, services, waiting
from nodes.forms import DrainForm, NoteForm
from nodes.models import Node, Workload


@login_required
@require_GET
@vary_on_headers("HX-Request")
def node_list(request: HtmxRequest) -> HttpResponse:
    """All nodes, and what waits for them."""
    user = actor(request)
    nodes = list(Node.objects.visible_to(user))
    cards = overview.cards_of(user, nodes, most=overview.TENANTS_SHOWN)
    devices = [device for card in cards for device in card.devices]
    open_devices = [
        device
        for card in cards
        if card.node.takes_work and not card.is_silent
        for device in card.devices
        if device.is_usable
    ]
    used = sum(bool(device.holder) for device in devices)
    free = sum(not device.holder for device in open_devices)
    context = {
        "nav": "nodes",
        "cards": [(card, _drain_form(card.node, f"-{card.node.pk}")) for card in cards],
        "notices": overview.notices_of(user, nodes),
        "queue": waiting.queue_of(user),
        "waiting": Workload.objects.waiting().count(),
        "devices": len(devices),
        "devices_used": used,
        "devices_free": free,
        "devices_away": len(devices) - used - free,
        "cpus": sum(card.node.cpu_count for card in cards),
        "topics": ",".join(str(card.node.pk) for card in cards),
        "is_operator": user.is_staff,
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
    name = "nodes/node_detail.html"
    if wants_fragment(request.htmx):
        is_head = request.GET.get("part") == "head"
        name = "nodes/_node_head.html" if is_head else "nodes/_node_now.html"
    return render(request, name, context)


def _node_context(request: HttpRequest, node: Node, note_form: NoteForm) -> dict[str, Any]:
    user = actor(request)
    span = request.GET.get("span", "hour")
    return {
        "nav": "nodes",
        "card": overview.cards_of(user, [node])[0],
        "notices": overview.notices_of(user, [node]),
        "note_form": note_form,
        "drain_form": _drain_form(node),
        "events": Event.objects.of(node).visible_to(user).order_by("-id")[:12],
        "span": span if span in curves.SPANS else "hour",
        "curves": _curves_of(node),
        "spans": (("hour", _("Hour")), ("day", _("Day")), ("month", _("Month"))),
        "is_operator": user.is_staff,
    }


def _drain_form(node: Node, suffix: str = "") -> DrainForm:
    """`suffix` tells the fields and dialogs of several nodes on one page apart."""
    form = DrainForm(initial={"mode": node.drain or Node.Drain.WAIT}, auto_id=f"id_%s{suffix}")
    form.suffix = suffix
    return form


def _curves_of(node: Node) -> list[tuple[str, str, str]]:
    """What is drawn below the load: name, title, unit; of GPUs only where there are some."""
    drawn = [("traffic", _("Network and disk"), "bytes/s")]
    if node.gpus.known().exists():
        drawn += [
            ("memory", _("GPU memory"), "bytes"),
            ("heat", _("Heat"), "°C"),
            ("power", _("Power"), "W"),
            ("throttled", _("Slowed down"), "%"),
        ]
    if node.gpus.known().exclude(ecc_uncorrected=None).exists():
        drawn.append(("errors", _("New memory errors"), ""))
    return drawn


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
def node_drain(request: HttpRequest, node_id: uuid.UUID) -> HttpResponse:
    """Empties it: `mode` says what happens to what runs there."""
    user = actor(request)
    node = get_object_or_404(Node.objects.editable_by(user), pk=node_id)
    form = DrainForm(request.POST)
    if form.is_valid():
        services.node_drain(node.pk, mode=form.cleaned_data["mode"], by=user)
        return redirect("nodes:node_detail", node.pk)
    context = _node_context(request, node, NoteForm(initial={"note": node.note}))
    context["drain_form"] = form
    return render(request, "nodes/node_detail.html", context, status=422)


@login_required
@require_POST
def node_release(request: HttpRequest, node_id: uuid.UUID) -> HttpResponse:
    """Lets what was taken out work again: one GPU (`gpu`, its UUID), or all and the node."""
    user = actor(request)
    node = get_object_or_404(Node.objects.editable_by(user), pk=node_id)
    uuid_of_gpu = request.POST.get("gpu", "")
    gpu = get_object_or_404(node.gpus, uuid=uuid_of_gpu).pk if uuid_of_gpu else None
    services.node_release(node.pk, by=user, gpu_id=gpu)
    return redirect("nodes:node_detail", node.pk)


@login_required
@require_POST
def node_remove(request: HttpRequest, node_id: uuid.UUID) -> HttpResponse:
    """Takes it off the pages; refused while it holds anything."""
    user = actor(request)
    node = get_object_or_404(Node.objects.editable_by(user), pk=node_id)
    remove = partial(services.node_remove, node.pk, by=user)
    if not acted(request, remove, _("%(node)s is removed.") % {"node": node.name}):
        return redirect("nodes:node_detail", node.pk)
    return redirect("nodes:node_list")


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
