"""Pages of evaluations: the list, one of them with its rows, several side by side."""

import uuid
from functools import partial
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST
from django.views.decorators.vary import vary_on_headers

from accounts.http import actor, project_of
from common.acting import acted
from common.errors import DomainError
from common.htmx import HtmxRequest, wants_fragment
from common.phrases import gettext as _
from common.texts import id_of
from registry import downloads, presentation, rows, services
from registry.forms import EvaluationFilterForm, RowFilterForm
from registry.metrics import METRICS
from registry.models import Evaluation, Model

PER_PAGE = 30
ROWS_PER_PAGE = 20
MOST_COMPARED = 4


@login_required
@require_GET
@vary_on_headers("HX-Request")
def evaluation_list(request: HtmxRequest) -> HttpResponse:
    """What was measured in the project."""
    user, project = actor(request), project_of(request)
    own = Evaluation.objects.visible_to(user).filter(project=project)
    models = Model.objects.filter(pk__in=own.values("version__model"))
    form = EvaluationFilterForm(request.GET, models=models)
    form.is_valid()
    found = own.select_related("version__model", "baseline__version__model")
    if words := form.cleaned_data.get("q"):
        found = found.filter(
            Q(dataset_label__icontains=words) | Q(version__model__name__icontains=words)
        )
    if model := form.cleaned_data.get("model"):
        found = found.filter(version__model=model)
    page = Paginator(found, PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "nav": "evaluation",
        "form": form,
        "filtered": bool(words or model),
        "page": page,
        "shown": [(one, presentation.headlines(one)) for one in page.object_list],
    }
    name = "_evaluation_rows" if wants_fragment(request.htmx) else "evaluation_list"
    return render(request, f"registry/{name}.html", context)


def _visible(request: HttpRequest, evaluation_id: uuid.UUID) -> Evaluation:
    return get_object_or_404(
        Evaluation.objects.visible_to(actor(request)).select_related(
            "project", "created_by", "version__model", "baseline__version__model"
        ),
        pk=evaluation_id,
    )


@login_required
@require_GET
@vary_on_headers("HX-Request")
def evaluation_detail(request: HtmxRequest, evaluation_id: uuid.UUID) -> HttpResponse:
    """Scores beside the baseline's, and every row with both answers."""
    evaluation = _visible(request, evaluation_id)
    context = _rows(request, evaluation) | {"nav": "evaluation", "evaluation": evaluation}
    if wants_fragment(request.htmx):
        return render(request, "registry/_evaluation_answers.html", context)
    context |= {
        "lines": presentation.lines(evaluation),
        "words": presentation.comparison(evaluation),
        "may_edit": Evaluation.objects.editable_by(actor(request))
        .filter(pk=evaluation.pk)
        .exists(),
        "others": Evaluation.objects.visible_to(actor(request))
        .filter(project=evaluation.project, dataset_version_id=evaluation.dataset_version_id)
        .exclude(pk=evaluation.pk)
        .select_related("version__model")[: MOST_COMPARED + 4],
    }
    return render(request, "registry/evaluation_detail.html", context)


def _rows(request: HttpRequest, evaluation: Evaluation) -> dict[str, Any]:
    form = RowFilterForm(request.GET)
    form.is_valid()
    wanted = form.cleaned_data
    places = rows.order(
        evaluation,
        sort=wanted.get("sort") or "",
        search=wanted.get("q") or "",
        differing=bool(wanted.get("differing")),
    )
    page = Paginator(places, ROWS_PER_PAGE).get_page(request.GET.get("page"))
    sorts = [("", _("in the data's order"))]
    for metric in METRICS:
        if metric.key in evaluation.scores and metric.key not in {"perplexity", "rouge1"}:
            sorts.append((metric.key, _("worst %(metric)s first") % {"metric": metric.label}))
            sorts.append((f"-{metric.key}", _("best %(metric)s first") % {"metric": metric.label}))
    return {
        "form": form,
        "page": page,
        "answers": rows.page(evaluation, list(page.object_list)),
        "sorts": sorts,
        "stored": evaluation.predictions.is_file(),
    }


@login_required
@require_GET
def evaluation_compare(request: HttpRequest) -> HttpResponse:
    """Several evaluations of the same data side by side."""
    user = actor(request)
    ids = filter(None, map(id_of, request.GET.getlist("id")[:MOST_COMPARED]))
    found = list(
        Evaluation.objects.visible_to(user)
        .filter(pk__in=ids)
        .select_related("version__model", "baseline__version__model")
        .order_by("created_at")
    )
    same = [one for one in found if one.dataset_version_id == found[0].dataset_version_id]
    best = {
        metric.key: (min if metric.lower_is_better else max)(
            one.scores[metric.key] for one in same if metric.key in one.scores
        )
        for metric in METRICS
        if any(metric.key in one.scores for one in same)
    }
    context = {
        "nav": "evaluation",
        "evaluations": same,
        "left_out": len(found) - len(same),
        "table": [
            (
                metric,
                [
                    (one.scores.get(metric.key), one.scores.get(metric.key) == best[metric.key])
                    for one in same
                ],
            )
            for metric in METRICS
            if metric.key in best
        ],
    }
    return render(request, "registry/evaluation_compare.html", context)


@login_required
@require_GET
def evaluation_download(request: HttpRequest, evaluation_id: uuid.UUID) -> HttpResponseBase:
    """The stored answers as JSON Lines, or with the scores as CSV."""
    evaluation = _visible(request, evaluation_id)
    try:
        if request.GET.get("as") == "csv":
            return downloads.rows_csv(evaluation)
        return downloads.rows_jsonl(evaluation)
    except DomainError as error:
        messages.error(request, error.message)
        return redirect("registry:evaluation_detail", evaluation.pk)


def _editable(request: HttpRequest, evaluation_id: uuid.UUID) -> Evaluation:
    return get_object_or_404(Evaluation.objects.editable_by(actor(request)), pk=evaluation_id)


@login_required
@require_POST
def evaluation_rescore(request: HttpRequest, evaluation_id: uuid.UUID) -> HttpResponse:
    """Computes the scores anew from the stored answers."""
    evaluation = _editable(request, evaluation_id)
    rescore = partial(services.evaluation_rescore, evaluation.pk, by=actor(request))
    acted(request, rescore, _("The scores were computed anew from the stored answers."))
    return redirect("registry:evaluation_detail", evaluation.pk)


@login_required
@require_POST
def evaluation_delete(request: HttpRequest, evaluation_id: uuid.UUID) -> HttpResponse:
    """Deletes an evaluation; the answers stay with the job."""
    evaluation = _editable(request, evaluation_id)
    services.evaluation_delete(evaluation.pk, by=actor(request))
    messages.success(request, _("The evaluation is deleted."))
    return redirect("registry:evaluation_list")
