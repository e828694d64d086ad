"""Pages of recipes."""

import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django.views.decorators.vary import vary_on_headers

from accounts.http import actor, project_of
from accounts.models import Project, Role, User
from common.errors import DomainError
from common.forms import add_refusal
from common.htmx import HtmxRequest, wants_fragment
from common.phrases import gettext as _
from common.texts import id_of, text_of, whole
from datasets import services
from datasets.forms import RecipeForm, RunForm, StepForm
from datasets.lineage import steps_shown
from datasets.models import Dataset, DatasetVersion, Recipe, RecipeRun
from datasets.recipes import kinds
from datasets.recipes.grouping import COLUMNS
from datasets.recipes.kinds import KINDS, STEPS_MAX, shares_of, versions_named
from datasets.recipes.kinds.grouping import GROUP
from datasets.recipes.kinds.shaping import CONVERT
from datasets.recipes.parameters import Number, Several
from datasets.recipes.words import PARTS, REASONS

OFFERED = 200  # versions to choose from
ROWS_OPEN = 10  # of a preview; the others open on request
RUNS_SHOWN = 8
# Steps that may run on whatever version there is.
ANY = [{"kind": "convert", "parameters": {"source": "columns"}}]
SEED = 1  # of what is shown before a run has one


@require_GET
@vary_on_headers("HX-Request")
@login_required
def recipe_list(request: HtmxRequest) -> HttpResponse:
    """The project's recipes, and the latest runs."""
    user, project = actor(request), project_of(request)
    search = text_of(request.GET, "q")
    recipes = Recipe.objects.visible_to(user).filter(project=project)
    if search:
        recipes = recipes.with_words(search)
    runs = RecipeRun.objects.visible_to(user).filter(project=project)
    counted = recipes.annotate(run_count=Count("runs")).order_by("-updated_at", "name")
    page = Paginator(counted, 25).get_page(request.GET.get("page"))
    context = {
        "page": page,
        "rows": [(recipe, [KINDS[step["kind"]] for step in recipe.steps]) for recipe in page],
        "search": search,
        "project": project,
        "runs": runs.select_related("created_by")[:RUNS_SHOWN],
        "version": _version(request, ANY),
        "may_create": project.role_of(user) >= Role.RESEARCHER,
        "nav": "datasets",
    }
    part = wants_fragment(request.htmx)
    template = "datasets/_recipe_table.html" if part else "datasets/recipe_list.html"
    return render(request, template, context)


def _version(request: HttpRequest, steps: list[dict[str, Any]]) -> DatasetVersion | None:
    """The version that the address names, if the reader may run the steps on it."""
    wanted = id_of(request.GET.get("version") or request.POST.get("version") or "")
    if wanted is None:
        return None
    usable = services.recipe_versions(steps, request.user)
    return usable.select_related("dataset").filter(pk=wanted).first()


def _in_reach(project: Project, user: User) -> Q:
    """Versions of the project, and of datasets that are shared with the user."""
    return Q(dataset__project=project) | Q(dataset__in=Dataset.objects.shared_with(user))


def _offered(
    project: Project, steps: list[dict[str, Any]], user: User, chosen: DatasetVersion | None
) -> list[DatasetVersion]:
    """The project's versions to choose from, and the chosen one wherever it is."""
    usable = services.recipe_versions(steps, user).select_related("dataset")
    versions = list(
        usable.filter(_in_reach(project, user)).order_by("dataset__name", "-number")[:OFFERED]
    )
    if chosen is not None and chosen not in versions:
        versions.insert(0, chosen)
    return versions


@require_http_methods(["GET", "POST"])
@login_required
def recipe_create(request: HtmxRequest) -> HttpResponse:
    """The form of a new recipe."""
    return _editor(request, project_of(request), None)


@require_http_methods(["GET", "POST"])
@login_required
def recipe_update(request: HtmxRequest, recipe_id: uuid.UUID) -> HttpResponse:
    """The form that changes a recipe."""
    recipes = Recipe.objects.editable_by(actor(request)).select_related("project")
    recipe = get_object_or_404(recipes, pk=recipe_id)
    return _editor(request, recipe.project, recipe)


def _editor(request: HtmxRequest, project: Project, recipe: Recipe | None) -> HttpResponse:
    """Name, remark and steps. Buttons of steps change the form only; saving is one of them."""
    initial = {"name": recipe.name, "remark": recipe.remark} if recipe else {}
    form = RecipeForm(initial=initial)
    user = actor(request)
    ready = DatasetVersion.objects.visible_to(user).ready().select_related("dataset")
    own = ready.filter(_in_reach(project, user)).order_by("dataset__name", "-number")
    named = ready.filter(pk__in=versions_named(recipe.steps if recipe else []))
    offered = {str(one.pk): str(one) for one in (*own[:OFFERED], *named)}
    models = services.models_offered(user, project)
    make = partial(StepForm, versions=list(offered.items()), models=models)
    steps = [
        make(kind=KINDS[step["kind"]], number=number, initial=step["parameters"])
        for number, step in enumerate(recipe.steps if recipe else [], start=1)
    ]
    status, version, acted_on = 200, _version(request, ANY), 0
    if recipe is None and request.GET.get("step") in KINDS:
        steps = _proposed(request, make, version)
    if request.method == "POST":
        form, steps = RecipeForm(request.POST), _steps_sent(request, make)
        act = request.POST.get("act", "save")
        if act != "save":
            form = RecipeForm(initial={name: form[name].value() for name in form.fields})
            steps = _arranged(steps, act, make, version)
            acted_on = _acted_on(act, len(steps))
        elif saved := _save(request, project, recipe, form, steps):
            messages.success(request, _("Saved."))
            address = reverse("datasets:recipe_detail", args=[saved.pk])
            return redirect(f"{address}?version={version.pk}" if version else address)
        else:
            status = 422
    context = {
        "form": form,
        "steps": steps,
        "acted_on": acted_on,
        "version": version,
        "versions": _offered(project, ANY, user, version),
        "names_columns": any(step.kind.name in {CONVERT.name, GROUP.name} for step in steps),
        "converts": any(step.kind is CONVERT for step in steps),
        "no_models": not models and any(step.asks for step in steps),
        "kinds": KINDS.values(),
        "recipe": recipe,
        "project": project,
        "may_create": project.role_of(user) >= Role.RESEARCHER,
        "nav": "datasets",
    }
    return render(request, "datasets/recipe_edit.html", context, status=status)


def _proposed(
    request: HttpRequest, make: Callable[..., StepForm], version: DatasetVersion | None
) -> list[StepForm]:
    """The step that the address names, with the numbers and choices that it names, too."""
    kind = KINDS[request.GET["step"]]
    given: dict[str, Any] = {}
    for one in kind.parameters:
        if one.name in request.GET and isinstance(one, Number | Several):
            values = request.GET.getlist(one.name)
            given[one.name] = values if isinstance(one, Several) else values[-1]
    return _arranged([make(kind=kind, number=1, initial=given)], "", make, version)


def _steps_sent(request: HttpRequest, make: Callable[..., StepForm]) -> list[StepForm]:
    names = [name for name in request.POST.getlist("kind") if name in KINDS][: STEPS_MAX + 1]
    return [
        make(request.POST, kind=KINDS[name], number=number)
        for number, name in enumerate(names, start=1)
    ]


def _arranged(
    steps: list[StepForm], act: str, make: Callable[..., StepForm], version: DatasetVersion | None
) -> list[StepForm]:
    """The steps with one added (`add:clean`), removed (`remove:2`) or moved up (`up:2`). One that
    groups messages and is still empty gets the columns that the check of the version recognised.
    """
    written: list[tuple[str, dict[str, Any]]] = [(one.kind.name, one.written()) for one in steps]
    what, _colon, which = act.partition(":")
    place = (whole(which) or 0) - 1
    if what == "add" and which in KINDS:
        written.append((which, {}))
    elif what == "remove" and 0 <= place < len(written):
        del written[place]
    elif what == "up" and 0 < place < len(written):
        written[place - 1], written[place] = written[place], written[place - 1]
    messages = version.report.get("messages", {}) if version else {}
    for name, values in written:
        if name == GROUP.name and not any(values.get(key) for key in COLUMNS):
            values |= messages
    return [
        make(kind=KINDS[name], number=number, initial=values)
        for number, (name, values) in enumerate(written, start=1)
    ]


def _acted_on(act: str, steps: int) -> int:
    """The number of the step that the reader goes on with; 0 for none."""
    what, _colon, which = act.partition(":")
    number = whole(which) or 0
    place = {"add": steps, "remove": min(number, steps), "up": max(number - 1, 1)}
    return place.get(what, 0)


def _save(
    request: HttpRequest,
    project: Project,
    recipe: Recipe | None,
    form: RecipeForm,
    steps: list[StepForm],
) -> Recipe | None:
    if not all([form.is_valid(), *(step.is_valid() for step in steps)]):
        return None
    given = {**form.cleaned_data, "steps": [step.step() for step in steps]}
    user = actor(request)
    try:
        if recipe is None:
            return services.recipe_create(project=project, created_by=user, **given)
        return services.recipe_update(recipe.pk, by=user, **given)
    except DomainError as refused:
        _blame(refused, form, steps)
        return None


def _blame(refused: DomainError, form: RecipeForm, steps: list[StepForm]) -> None:
    """Puts a refusal where the reader can do something about it."""
    number = refused.data.get("step")
    if not isinstance(number, int) or number > len(steps):
        add_refusal(form, refused)
        return
    step = steps[number - 1]
    field = str(refused.data.get("parameter", ""))
    step.add_error(field if field in step.fields else None, str(refused.data["reason"]))


@require_GET
@login_required
def recipe_detail(request: HtmxRequest, recipe_id: uuid.UUID) -> HttpResponse:
    """The steps; with a version what they would do with its first rows; the runs."""
    recipes = Recipe.objects.visible_to(actor(request)).select_related("project", "created_by")
    return recipe_page(request, get_object_or_404(recipes, pk=recipe_id))


@require_POST
@login_required
def recipe_ask(request: HtmxRequest, recipe_id: uuid.UUID) -> HttpResponse:
    """The same with models asked about a few rows."""
    recipes = Recipe.objects.editable_by(actor(request)).select_related("project", "created_by")
    return recipe_page(request, get_object_or_404(recipes, pk=recipe_id), ask=True)


def recipe_page(
    request: HtmxRequest, recipe: Recipe, form: RunForm | None = None, *, ask: bool = False
) -> HttpResponse:
    """The page of a recipe; with a bound form that was refused, or with models asked."""
    user, version = actor(request), _version(request, recipe.steps)
    asking_from = kinds.asking_from(recipe.steps)
    context = {
        "recipe": recipe,
        "steps": steps_shown(recipe.steps, reader=user),
        "parts": list(shares_of(recipe.steps)),
        "version": version,
        "versions": _offered(recipe.project, recipe.steps, user, version),
        "form": form or RunForm(initial={"version": version.pk if version else None}),
        "asks": asking_from is not None,
        "asks_from": (asking_from or 0) + 1,
        "asked_rows": services.ASKED,
        "currency": services.models_currency(recipe.steps, user),
        "runs": recipe.runs.select_related("created_by")[:RUNS_SHOWN],
        "may_edit": Recipe.objects.editable_by(user).filter(pk=recipe.pk).exists(),
        "nav": "datasets",
    }
    if version is not None:
        context |= _previewed(recipe, version, user, ask=ask)
    status = 422 if form is not None else 200
    return render(request, "datasets/recipe_detail.html", context, status=status)


def _previewed(recipe: Recipe, version: DatasetVersion, user: User, *, ask: bool) -> dict[str, Any]:
    """What the steps do with the first rows; those that they touch come first, unless rows are
    added, which stand behind those that they were made of.
    """
    spent = None
    try:
        if ask:
            found, spent = services.recipe_ask(recipe.steps, version, by=user, seed=SEED)
        else:
            found = services.recipe_preview(recipe.steps, version, by=user, seed=SEED)
    except DomainError as refused:
        return {"refused": refused.message}
    except FileNotFoundError:
        return {"refused": _("The rows of this version are not here. Choose another one.")}
    shown = found.rows
    if not found.added:
        shown = sorted(shown, key=lambda row: row.joined or not (row.changed or row.step))
    rows = [
        {"row": row, "reason": REASONS.get(row.reason, ""), "part": PARTS.get(row.part, "")}
        for row in shown
    ]
    report = [outcome.stored() for outcome in found.outcomes]
    return {
        "preview": found,
        "spent": spent,
        "embeds": services.steps_embed(recipe.steps),
        "looked": len(found.rows) - found.added,
        "rows": rows[:ROWS_OPEN],
        "more_rows": rows[ROWS_OPEN:],
        "steps": steps_shown(recipe.steps, report, reader=user),
    }


@require_POST
@login_required
def recipe_delete(request: HtmxRequest, recipe_id: uuid.UUID) -> HttpResponse:
    """Deletes a recipe; what it made stays."""
    user = actor(request)
    recipe = get_object_or_404(Recipe.objects.editable_by(user), pk=recipe_id)
    services.recipe_delete(recipe.pk, by=user)
    messages.success(request, _("“%(name)s” is deleted.") % {"name": recipe.name})
    return redirect("datasets:recipe_list")
