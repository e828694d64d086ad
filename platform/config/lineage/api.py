"""A project's lineage over REST."""

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.http import actor
from accounts.models import Project
from config.lineage.asking import SHOWN, SHOWN_MAX, answer, wish_of
from config.lineage.graph import Kind


class LineageNodeSerializer(serializers.Serializer[Any]):
    """A thing. One of another project that is not yours to see has neither name nor address."""

    key = serializers.CharField(help_text="Kind and id.")
    kind = serializers.ChoiceField(choices=Kind.choices)
    title = serializers.CharField(help_text="Of a place that data was imported from, its address.")
    note = serializers.CharField(
        help_text="Rows, files, …; of a hub the revision that was fetched, of S3 the endpoint."
    )
    state = serializers.ChoiceField(choices=("ok", "run", "wait", "no", "off"))
    state_text = serializers.CharField()
    url = serializers.CharField(help_text="Its page; empty when it cannot be opened.")
    at = serializers.DateTimeField(allow_null=True)
    is_gone = serializers.BooleanField(help_text="Deleted, and remembered by what it was used for.")


class LineageEdgeSerializer(serializers.Serializer[Any]):
    """`target` was made from `source`."""

    source = serializers.CharField()  # type: ignore[assignment]
    target = serializers.CharField()
    measures = serializers.BooleanField(help_text="Only measured with, nothing was learnt from it.")


class LineageSerializer(serializers.Serializer[Any]):
    """Nodes and edges."""

    total = serializers.IntegerField(help_text="Nodes that the question fits.")
    is_whole = serializers.BooleanField(help_text="Whether all of them are here.")
    nodes = LineageNodeSerializer(many=True)
    edges = LineageEdgeSerializer(many=True)


class LineageView(APIView):
    """Where a project's things come from and what became of them."""

    @extend_schema(
        operation_id="projects_lineage_retrieve",
        parameters=[
            OpenApiParameter("at", str, description="A key: what it comes from and became."),
            OpenApiParameter("q", str, description="Words in names; with what belongs to them."),
            OpenApiParameter("kind", str, enum=Kind.values, many=True),
            OpenApiParameter("limit", int, description=f"{SHOWN} by default, {SHOWN_MAX} at most."),
        ],
        responses=LineageSerializer,
    )
    def get(self, request: Request, project_id: str) -> Response:
        """The newest things, or those that are asked for."""
        user = actor(request)
        project = get_object_or_404(Project.objects.visible_to(user), pk=project_id)
        found = answer(project, user, wish_of(request.query_params))
        edges = sorted(found.graph.edges, key=lambda edge: (edge.source, edge.target))
        shown = {
            "total": found.total,
            "is_whole": found.is_whole,
            "nodes": found.graph.nodes.values(),
            "edges": edges,
        }
        return Response(LineageSerializer(shown).data)
