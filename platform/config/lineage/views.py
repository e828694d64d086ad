"""The page of a project's lineage."""

import uuid
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET

from accounts.http import actor
from accounts.models import Project
from common.errors import DomainError
from config.lineage.asking import Wish, answer, wish_of
from config.lineage.graph import ICONS, Graph, Kind
from config.lineage.layout import Drawing, draw

ZOOMS = (50, 75, 100, 150)
FRAME = 960  # pixels of a usual page; a picture begins as large as fits, but not too small to read


@login_required
@require_GET
def project_lineage(request: HttpRequest, project_id: uuid.UUID) -> HttpResponse:
    """The project's lineage as a picture, and the same as a list."""
    user = actor(request)
    project = get_object_or_404(Project.objects.visible_to(user), pk=project_id)
    try:
        wish = wish_of(request.GET)
    except DomainError:
        wish = Wish()
    found = answer(project, user, wish)
    drawing = draw(found.graph)
    zoom = request.GET.get("zoom", "")
    context = {
        "nav": "project",
        "lineage_of": project,
        "wish": wish,
        "centre": found.graph.nodes.get(wish.at),
        "drawing": drawing,
        "lines": [line for line in drawing.lines if not line.edge.measures],
        "measures": [line for line in drawing.lines if line.edge.measures],
        "rows": _rows(drawing, found.graph),
        "drawn": len(drawing.boxes),
        "total": found.total,
        "is_whole": found.is_whole,
        "kinds": [(kind, kind.label, ICONS[kind], kind in wish.kinds) for kind in Kind],
        "is_filtered": bool(wish.at or wish.words) or wish.kinds != frozenset(Kind),
        "as_list": request.GET.get("view") == "list",
        "zoom": int(zoom) if zoom in map(str, ZOOMS) else _fitting(drawing),
        "zooms": ZOOMS,
    }
    return render(request, "lineage.html", context)


def _fitting(drawing: Drawing) -> int:
    """Percent."""
    return max(min(100 * FRAME // drawing.width, 100), 60)


def _rows(drawing: Drawing, graph: Graph) -> list[dict[str, Any]]:
    """The nodes in the order of the picture, each with what it comes from and what became of it."""
    sources, targets = graph.neighbours()
    return [
        {
            "node": box.node,
            "sources": [graph.nodes[key] for key in sorted(sources.get(box.node.key, ()))],
            "targets": [graph.nodes[key] for key in sorted(targets.get(box.node.key, ()))],
        }
        for box in drawing.boxes
    ]
