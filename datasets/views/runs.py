"""Pages of runs of recipes."""

import uuid
from functools import partial
from operator import itemgetter
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST
from django.views.decorators.vary import vary_on_headers

from accounts.http import actor
from accounts.models import Event
from common.acting import acted
from common.errors import DomainError
from common.forms import add_refusal
from common.htmx import HtmxRequest, wants_fragment
from common.phrases import gettext as _
from datasets import services
from datasets.forms import LimitsForm, RunForm
from datasets.lineage import steps_shown
from datasets.models import DatasetVersion, Recipe, RecipeRun
from datasets.views.recipes import recipe_page


@require_POST
@login_required
def run_create(request: HtmxRequest, recipe_id: uuid.UUID) -> HttpResponse:
    """Has the recipe run on the chosen version."""
    user = actor(request)
    recipes = Recipe.objects.editable_by(user).select_related("project", "created_by")
    recipe = get_object_or_404(recipes, pk=recipe_id)
    form = RunForm(request.POST)
    if form.is_valid():
        data = form.cleaned_data
        seen = DatasetVersion.objects.visible_to(user)
        version = get_object_or_404(seen, pk=data["version"])
        try:
            run = services.run_create(
                recipe.pk,
                by=user,
                version_id=version.pk,
                name=data["name"],
                seed=data["seed"],
                limits=form.limits(),
            )
        except DomainError as refused:
            add_refusal(form, refused)
        else:
            return redirect("datasets:run_detail", run.pk)
    return recipe_page(request, recipe, form)


@require_GET
@vary_on_headers("HX-Request")
@login_required
def run_detail(request: HtmxRequest, run_id: uuid.UUID) -> HttpResponse:
    """How far a run is, what each step did, and what came of it; renews itself while it lasts."""
    user = actor(request)
    runs = RecipeRun.objects.visible_to(user).select_related("project", "created_by", "recipe")
    return _run_page(request, get_object_or_404(runs, pk=run_id))


def _run_page(request: HtmxRequest, run: RecipeRun, form: LimitsForm | None = None) -> HttpResponse:
    """The page of a run; with a bound form that was refused."""
    user = actor(request)
    seen = DatasetVersion.objects.visible_to(user).select_related("dataset")
    outputs = list(seen.filter(run=run).order_by("dataset__name", "number"))
    checked = all(version.state != DatasetVersion.State.CHECKING for version in outputs)
    context = {
        "run": run,
        "goes_on": run.is_active or not checked,
        "steps": steps_shown(run.steps, run.report, reader=user),
        "outputs": outputs,
        "made": outputs[0] if len(outputs) == 1 and checked else None,
        "source": seen.filter(pk=run.source_id).first() if run.source_id else None,
        "inputs": seen.filter(pk__in=run.inputs.values("pk")),
        "may_edit": RecipeRun.objects.editable_by(user).filter(pk=run.pk).exists(),
        "before": run.place - 1 if run.state == RecipeRun.State.WAITING else 0,
        "happened": _happened(run),
        "form": form
        or LimitsForm(initial={"max_cost": run.max_cost, "max_tokens": run.max_tokens}),
        "nav": "datasets",
    }
    part = wants_fragment(request.htmx)
    template = "datasets/_run_state.html" if part else "datasets/run_detail.html"
    return render(request, template, context, status=422 if form is not None else 200)


def _happened(run: RecipeRun) -> list[dict[str, Any]]:
    """What became of the run and what it said while it worked, the newest first."""
    events = Event.objects.filter(subject_id=run.pk).select_related("actor").order_by("-id")
    lines = services.log_lines(run.log) + [{"at": event.at, "event": event} for event in events]
    return sorted(lines, key=itemgetter("at"), reverse=True)


@require_POST
@login_required
def run_resume(request: HtmxRequest, run_id: uuid.UUID) -> HttpResponse:
    """Has a failed run go on."""
    user = actor(request)
    runs = RecipeRun.objects.editable_by(user).select_related("project", "created_by", "recipe")
    run = get_object_or_404(runs, pk=run_id)
    form = LimitsForm(request.POST)
    if form.is_valid():
        try:
            services.run_resume(run.pk, by=user, limits=form.limits())
        except DomainError as refused:
            add_refusal(form, refused)
        else:
            return redirect("datasets:run_detail", run.pk)
    return _run_page(request, run, form)


@require_POST
@login_required
def run_cancel(request: HtmxRequest, run_id: uuid.UUID) -> HttpResponse:
    """Ends a run."""
    user = actor(request)
    run = get_object_or_404(RecipeRun.objects.editable_by(user), pk=run_id)
    cancel = partial(services.run_cancel, run.pk, by=user)
    acted(request, cancel, _("The run is cancelled. Nothing it made is kept."))
    return redirect("datasets:run_detail", run.pk)
