"""Pages that show something of every app."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView


@login_required
@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """What goes on, and the next step on the way."""
    return render(request, "home.html", {"nav": "home"})


@login_required
@require_GET
def search(request: HttpRequest) -> HttpResponse:
    """Datasets, models, jobs and deployments by a part of their name."""
    return render(request, "search.html", {"nav": "home"})


class ApiRoot(APIView):
    """Where everything is."""

    def get(self, request: Request) -> Response:
        """Addresses of the collections."""
        return Response({"docs": reverse("docs", request=request)})
