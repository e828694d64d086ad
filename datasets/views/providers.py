"""Pages of providers of models."""

import uuid
from functools import partial

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from accounts.http import actor, project_of
from accounts.models import Project, Role
from common.acting import acted
from common.errors import DomainError
from common.forms import add_refusal
from common.phrases import gettext as _
from datasets import services
from datasets.models import Provider
from datasets.provider_forms import ProviderForm


@require_GET
@login_required
def provider_list(request: HttpRequest) -> HttpResponse:
    """Whom the project's recipes may ask."""
    user, project = actor(request), project_of(request)
    context = {
        "providers": Provider.objects.visible_to(user).filter(project=project),
        "project": project,
        "may_create": project.role_of(user) >= Role.RESEARCHER,
        "nav": "datasets",
    }
    return render(request, "datasets/provider_list.html", context)


@sensitive_post_parameters("key")
@require_http_methods(["GET", "POST"])
@login_required
def provider_create(request: HttpRequest) -> HttpResponse:
    """The form of a new provider."""
    return _editor(request, project_of(request), None)


@sensitive_post_parameters("key")
@require_http_methods(["GET", "POST"])
@login_required
def provider_update(request: HttpRequest, provider_id: uuid.UUID) -> HttpResponse:
    """The form that changes a provider; the key is not in it."""
    providers = Provider.objects.editable_by(actor(request)).select_related("project")
    provider = get_object_or_404(providers, pk=provider_id)
    return _editor(request, provider.project, provider)


def _editor(request: HttpRequest, project: Project, provider: Provider | None) -> HttpResponse:
    user, status = actor(request), 200
    sent = request.POST if request.method == "POST" else None
    form = ProviderForm(sent, provider=provider, is_operator=user.is_staff)
    if sent is not None:
        saved = _save(request, project, provider, form)
        if saved is not None:
            messages.success(request, _("Saved."))
            return redirect("datasets:provider_update", saved.pk)
        status = 422
    context = {
        "form": form,
        "provider": provider,
        "project": project,
        "may_create": project.role_of(user) >= Role.RESEARCHER,
        "nav": "datasets",
    }
    return render(request, "datasets/provider_edit.html", context, status=status)


def _save(
    request: HttpRequest, project: Project, provider: Provider | None, form: ProviderForm
) -> Provider | None:
    if not form.is_valid():
        return None
    user = actor(request)
    try:
        if provider is None:
            return services.provider_create(project=project, created_by=user, **form.given())
        return services.provider_update(provider.pk, by=user, **form.given())
    except DomainError as refused:
        add_refusal(form, refused)
        return None


@require_POST
@login_required
def provider_test(request: HttpRequest, provider_id: uuid.UUID) -> HttpResponse:
    """Asks the provider for a word."""
    user = actor(request)
    provider = get_object_or_404(Provider.objects.editable_by(user), pk=provider_id)
    try:
        probe = services.provider_test(provider.pk, by=user)
    except DomainError as refused:
        messages.error(request, refused.message)
    else:
        messages.success(
            request,
            _("%(model)s answered after %(seconds)s s: %(text)s")
            % {"model": probe.model, "seconds": f"{probe.seconds:.1f}", "text": probe.text},
        )
    return redirect("datasets:provider_update", provider.pk)


@require_POST
@login_required
def provider_delete(request: HttpRequest, provider_id: uuid.UUID) -> HttpResponse:
    """Forgets a provider with its key."""
    user = actor(request)
    provider = get_object_or_404(Provider.objects.editable_by(user), pk=provider_id)
    delete = partial(services.provider_delete, provider.pk, by=user)
    if not acted(request, delete, _("“%(name)s” is deleted.") % {"name": provider.name}):
        return redirect("datasets:provider_update", provider.pk)
    return redirect("datasets:provider_list")
