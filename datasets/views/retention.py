"""The page of what a project keeps and for how long, and the pins of versions."""

import uuid

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from accounts.http import actor, project_of
from accounts.models import Role
from common.errors import DomainError
from common.forms import add_refusal
from common.htmx import HtmxRequest
from common.phrases import gettext as _
from datasets import services
from datasets.forms import RetentionForm
from datasets.views.shared import version_or_404

SHOWN = 200


@require_http_methods(["GET", "POST"])
@login_required
def retention(request: HtmxRequest) -> HttpResponse:
    """The rule of the project one works in, and what would go by it; nothing goes here."""
    user, project = actor(request), project_of(request)
    rule = services.retention_of(project)
    initial = {"keep_newest": rule.keep_newest, "unused_days": rule.unused_days}
    form = RetentionForm(request.POST if request.method == "POST" else None, initial=initial)
    if "reset" in request.POST or form.is_valid():
        try:
            if "reset" in request.POST:
                services.retention_reset(project, by=user)
            else:
                services.retention_set(project, by=user, **form.cleaned_data)
        except DomainError as refused:
            add_refusal(form, refused)
        else:
            messages.success(request, _("Saved."))
            return redirect("datasets:retention")
    due = services.retention_due(project)
    context = {
        "form": form,
        "project": project,
        "rule": rule,
        "notice_days": services.NOTICE.days,
        "due": due[:SHOWN],
        "due_count": len(due),
        "due_bytes": sum(version.stored_bytes for version in due),
        "may_change": project.role_of(user) >= Role.MANAGER,
        "nav": "datasets",
    }
    return render(request, "datasets/retention.html", context, status=422 if form.errors else 200)


@require_POST
@login_required
def version_keep(
    request: HtmxRequest, dataset_id: uuid.UUID, version_id: uuid.UUID
) -> HttpResponse:
    """Pins a version, or with `kept=0` takes the pin out."""
    version = version_or_404(request, dataset_id, version_id, edit=True)
    kept = request.POST.get("kept") != "0"
    services.version_keep(version.pk, by=actor(request), kept=kept)
    said = _("Version %(number)s is kept.") if kept else _("Version %(number)s may go again.")
    messages.success(request, said % {"number": version.number})
    return redirect("datasets:version_list", dataset_id)
