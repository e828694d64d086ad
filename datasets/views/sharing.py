"""The page that says with whom a dataset is shared."""

import uuid

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from accounts.http import actor
from accounts.models import Project
from common.errors import DomainError
from common.forms import add_refusal
from common.htmx import HtmxRequest
from common.phrases import gettext as _
from datasets import services
from datasets.forms import ShareForm
from datasets.models import Dataset, DatasetShare
from datasets.views.shared import dataset_context


@require_http_methods(["GET", "POST"])
@login_required
def dataset_sharing(request: HtmxRequest, dataset_id: uuid.UUID) -> HttpResponse:
    """Who beyond the project reads the dataset, and the form that lets somebody in."""
    user = actor(request)
    datasets = Dataset.objects.editable_by(user).select_related("project")
    dataset = get_object_or_404(datasets, pk=dataset_id)
    form = ShareForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            share = services.share_create(dataset.pk, by=user, **form.cleaned_data)
        except DomainError as refused:
            add_refusal(form, refused)
        else:
            messages.success(
                request, _("%(name)s may read and use it now.") % {"name": share.receiver}
            )
            return redirect("datasets:dataset_sharing", dataset.pk)
    context = dataset_context(request, dataset, "sharing") | {
        "form": form,
        "version": dataset.latest,
        "shares": dataset.shares.select_related("user", "project", "created_by"),
        "others": Project.objects.filter(members=user).exclude(pk=dataset.project_id),
    }
    return render(
        request, "datasets/dataset_sharing.html", context, status=422 if form.is_bound else 200
    )


@require_POST
@login_required
def share_delete(request: HtmxRequest, dataset_id: uuid.UUID, share_id: uuid.UUID) -> HttpResponse:
    """Takes a share back."""
    user = actor(request)
    shares = DatasetShare.objects.editable_by(user).select_related("user", "project")
    share = get_object_or_404(shares, pk=share_id, dataset=dataset_id)
    services.share_delete(share.pk, by=user)
    messages.success(
        request,
        _("It is no longer shared with %(name)s. What was begun with it goes on.")
        % {"name": share.receiver},
    )
    return redirect("datasets:dataset_sharing", dataset_id)
