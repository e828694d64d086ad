"""Pages on which operators keep the list of images that may run."""

import uuid
from collections.abc import Callable

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_POST
from django.views.decorators.vary import vary_on_headers

from accounts.http import actor
from common.acting import acted
from common.errors import DomainError
from common.forms import add_refusal
from common.htmx import HtmxRequest, wants_fragment
from nodes import services
from nodes.forms import ImageForm
from nodes.models import Image


@login_required
@require_GET
@vary_on_headers("HX-Request")
def image_list(request: HtmxRequest) -> HttpResponse:
    """All images, and how far those are that are being fetched or built."""
    fragment = wants_fragment(request.htmx)
    name = "nodes/_image_rows.html" if fragment else "nodes/image_list.html"
    return render(request, name, _context(request, ImageForm()))


def _context(request: HttpRequest, form: ImageForm) -> dict[str, object]:
    user = actor(request)
    if not user.is_staff:
        raise Http404
    images = list(Image.objects.visible_to(user).select_related("added_by", "node"))
    images.sort(key=lambda image: (not image.is_busy, not image.is_enabled, image.reference))
    places = services.images_on_nodes(images)
    return {
        "nav": "nodes",
        "rows": [(image, places[image.pk]) for image in images],
        "defaults": services.images_by_default(),
        "is_busy": any(image.is_busy for image in images),
        "form": form,
    }


@login_required
@require_POST
def image_add(request: HttpRequest) -> HttpResponse:
    """Puts a name on the list; a node fetches what it means."""
    form = ImageForm(request.POST)
    context = _context(request, form)
    if form.is_valid():
        try:
            services.image_add(form.cleaned_data["reference"], by=actor(request))
        except DomainError as refused:
            add_refusal(form, refused)
        else:
            return redirect("nodes:image_list")
    return render(request, "nodes/image_list.html", context, status=422)


def _editable(request: HttpRequest, image_id: uuid.UUID) -> Image:
    return get_object_or_404(Image.objects.editable_by(actor(request)), pk=image_id)


@login_required
@require_POST
def image_switch(request: HttpRequest, image_id: uuid.UUID) -> HttpResponse:
    """Lets it run (`enable=1`) or lets it run no more."""
    image, by = _editable(request, image_id), actor(request)
    enabled = request.POST.get("enable") == "1"
    return _done(request, lambda: services.image_switch(image.pk, enabled=enabled, by=by))


@login_required
@require_POST
def image_retry(request: HttpRequest, image_id: uuid.UUID) -> HttpResponse:
    """Fetches again what failed or got stuck."""
    image = _editable(request, image_id)
    return _done(request, lambda: services.image_retry(image.pk, by=actor(request)))


@login_required
@require_POST
def image_remove(request: HttpRequest, image_id: uuid.UUID) -> HttpResponse:
    """Takes it off the list."""
    image = _editable(request, image_id)
    return _done(request, lambda: services.image_remove(image.pk, by=actor(request)))


def _done(request: HttpRequest, change: Callable[[], object]) -> HttpResponse:
    """Back to the list, with the reason of a refusal."""
    acted(request, change)
    return redirect("nodes:image_list")
