"""What is wrong with nodes, when that is said, and to whom."""

import uuid
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Prefetch
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST
from django.views.decorators.vary import vary_on_headers

from accounts.http import actor, operator_required
from accounts.models import User
from common.errors import DomainError
from common.forms import add_refusal
from common.htmx import HtmxRequest, wants_fragment
from common.phrases import gettext as _
from nodes import services
from nodes.forms import AlertChannelForm, AlertRuleForm
from nodes.models import Alert, AlertChannel, AlertDelivery, AlertRule
from nodes.services.rules import BOUNDS
from nodes.services.sentences import alert_text

SHOWN = 50


@login_required
@require_GET
@vary_on_headers("HX-Request")
def alert_list(request: HtmxRequest) -> HttpResponse:
    """What goes on, what was, the rules; for operators also to whom it is told."""
    fragment = wants_fragment(request.htmx)
    name = "nodes/_alert_rows.html" if fragment else "nodes/alert_list.html"
    return render(request, name, _page(actor(request)))


def _page(user: User, *, rule: AlertRuleForm | None = None, kind: str = "") -> dict[str, Any]:
    def rows(state: str, order: str) -> list[dict[str, Any]]:
        alerts = Alert.objects.visible_to(user).filter(state=state).order_by(order)
        return [
            {"alert": alert, "text": alert_text(alert, to_operator=user.is_staff)}
            for alert in alerts.select_related("node", "gpu")[:SHOWN]
        ]

    return {
        "nav": "nodes",
        "open": rows(Alert.State.OPEN, "-since"),
        "past": rows(Alert.State.CLOSED, "-closed_at"),
        "rules": [
            {
                "rule": each,
                "bounds": BOUNDS[each.kind],
                "form": rule if rule and each.kind == kind else _rule_form(each),
            }
            for each in services.rules()
        ],
        "channels": AlertChannel.objects.visible_to(user).prefetch_related(
            Prefetch("deliveries", AlertDelivery.objects.newest())
        ),
        "channel_form": AlertChannelForm(),
        "is_operator": user.is_staff,
    }


def _rule_form(rule: AlertRule) -> AlertRuleForm:
    names = ("is_enabled", "threshold", "clear", "hold_seconds")
    return AlertRuleForm(initial={name: getattr(rule, name) for name in names})


@operator_required
@require_POST
def alert_rule_set(request: HttpRequest, kind: str) -> HttpResponse:
    """Changes a rule."""
    if kind not in BOUNDS:
        raise Http404
    form = AlertRuleForm(request.POST)
    if form.is_valid():
        try:
            services.rule_set(kind, by=actor(request), **form.cleaned_data)
        except DomainError as refused:
            add_refusal(form, refused)
        else:
            messages.success(request, _("The rule holds from the next measurement on."))
            return redirect("nodes:alert_list")
    page = _page(actor(request), rule=form, kind=kind)
    return render(request, "nodes/alert_list.html", page, status=422)


@operator_required
@require_POST
def alert_channel_create(request: HttpRequest) -> HttpResponse:
    """A further place; the secret of a webhook is shown in the answer and never again."""
    by = actor(request)
    form = AlertChannelForm(request.POST)
    channel, secret = None, ""
    if form.is_valid():
        try:
            channel, secret = services.channel_create(by=by, **form.cleaned_data)
        except DomainError as refused:
            add_refusal(form, refused)
    if channel is not None and not secret:
        return redirect("nodes:alert_list")
    page = _page(by) | {"channel": channel, "secret": secret}
    if channel is None:
        page["channel_form"] = form
    status = 200 if channel else 422
    response = render(request, "nodes/alert_list.html", page, status=status)
    response["Cache-Control"] = "no-store"
    return response


def _channel(request: HttpRequest, channel_id: uuid.UUID) -> AlertChannel:
    return get_object_or_404(AlertChannel.objects.editable_by(actor(request)), pk=channel_id)


@operator_required
@require_POST
def alert_channel_switch(request: HttpRequest, channel_id: uuid.UUID) -> HttpResponse:
    """Tells it no more, or again (`enabled=1`)."""
    channel = _channel(request, channel_id)
    enabled = request.POST.get("enabled") == "1"
    services.channel_switch(channel.pk, is_enabled=enabled, by=actor(request))
    return redirect("nodes:alert_list")


@operator_required
@require_POST
def alert_channel_test(request: HttpRequest, channel_id: uuid.UUID) -> HttpResponse:
    """Sends something that looks like an alert."""
    services.channel_test(_channel(request, channel_id).pk, by=actor(request))
    messages.success(request, _("A test is on its way; the list says when it has arrived."))
    return redirect("nodes:alert_list")


@operator_required
@require_POST
def alert_channel_delete(request: HttpRequest, channel_id: uuid.UUID) -> HttpResponse:
    """Forgets it."""
    services.channel_delete(_channel(request, channel_id).pk, by=actor(request))
    return redirect("nodes:alert_list")
