"""Pages that show something of every app."""

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET
from django.views.decorators.vary import vary_on_headers
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView

from accounts.http import actor, project_of
from common.htmx import HtmxRequest, wants_fragment
from common.texts import text_of
from config import home as start
from config import search as finding
from config import ways

COLLECTIONS = {
    "datasets": "api-dataset-list",
    "imports": "api-import-list",
    "recipes": "api-recipe-list",
    "recipe_runs": "api-recipe-run-list",
    "jobs": "api-job-list",
    "models": "api-model-list",
    "model_versions": "api-model-version-list",
    "base_models": "api-base-model-list",
    "evaluations": "api-evaluation-list",
    "deployments": "api-deployment-list",
    "conversations": "api-conversation-list",
    "nodes": "api-node-list",
    "projects": "api-project-list",
    "keys": "api-key-list",
    "me": "api-me",
    "schema": "schema",
    "docs": "docs",
}


@login_required
@require_GET
@vary_on_headers("HX-Request")
def home(request: HtmxRequest) -> HttpResponse:
    """What goes on, and the next step on the way; parts of it renew themselves."""
    project = project_of(request)
    way = ways.way(project)
    machines = start.machines(project)
    facts, elsewhere = start.around(actor(request), project, only_busy=way is not None)
    context = {
        "nav": "home",
        "greeting": start.greeting(request),
        "facts": facts,
        "way": way,
        "steps": way.steps if way else ways.first_steps(project),
        "trainings": start.trainings(project),
        "machines": machines,
        "has_gpus": any(machine.cells for machine in machines),
        "serving": start.in_service(project),
        "elsewhere": elsewhere,
    }
    template = "home/_live.html" if wants_fragment(request.htmx) else "home.html"
    return render(request, template, context)


@login_required
@require_GET
@vary_on_headers("HX-Request")
def search(request: HtmxRequest) -> HttpResponse:
    """Datasets, jobs, models, deployments and projects by a part of their name."""
    text = text_of(request.GET, "q")
    context = {"search_text": text, "groups": finding.everything(actor(request), text)}
    template = "home/_hits.html" if wants_fragment(request.htmx) else "search.html"
    return render(request, template, context)


class ApiRoot(APIView):
    """Where everything is."""

    permission_classes = (AllowAny,)

    @extend_schema(responses={200: dict[str, str]})
    def get(self, request: Request) -> Response:
        """Addresses of the collections."""
        return Response({name: reverse(url, request=request) for name, url in COLLECTIONS.items()})
