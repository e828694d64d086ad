"""REST endpoints of comparisons."""

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from accounts.http import actor
from accounts.permissions import IsAuthenticatedWithScope
from datasets import services
from datasets.api.rows import COUNT, FROM, PAGE_MAX, number_of
from datasets.comparing import CHANGED, KINDS
from datasets.differences import ComparedRow, compared_rows
from datasets.models import Comparison, DatasetVersion
from datasets.serializers import SeenTextSerializer, texts_shown


class ComparisonSerializer(serializers.ModelSerializer[Comparison]):
    """How many rows of two versions are the same, changed, added and removed."""

    before_name = serializers.CharField(source="before.__str__", read_only=True)
    after_name = serializers.CharField(source="after.__str__", read_only=True)

    class Meta:
        model = Comparison
        fields = (
            "id",
            "before",
            "before_name",
            "after",
            "after_name",
            "state",
            "counts",
            "progress",
            "problem",
            "created_at",
        )
        read_only_fields = fields


class ComparisonCreateSerializer(serializers.Serializer[Any]):
    """Two versions."""

    before = serializers.UUIDField()
    after = serializers.UUIDField()


class ComparedRowSerializer(serializers.Serializer[Any]):
    """One row that differs, or stands in one version only."""

    before = serializers.IntegerField(allow_null=True, help_text="Its number before, from 1.")
    after = serializers.IntegerField(allow_null=True, help_text="Its number after, from 1.")
    texts = SeenTextSerializer(many=True, help_text="Empty when the row is too long for a page.")


class ComparedRowsSerializer(serializers.Serializer[Any]):
    """A page of rows of one kind."""

    count = serializers.IntegerField()
    next_from = serializers.IntegerField(allow_null=True)
    results = ComparedRowSerializer(many=True)


class ComparisonViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[Comparison]
):
    """Versions compared row by row."""

    queryset = Comparison.objects.none()
    serializer_class = ComparisonSerializer
    permission_classes = [IsAuthenticatedWithScope]
    filterset_fields = ("before", "after", "state")

    def get_queryset(self) -> QuerySet[Comparison]:
        """Of versions that the caller sees."""
        found = Comparison.objects.select_related("before__dataset", "after__dataset")
        return found.visible_to(self.request.user)

    @extend_schema(request=ComparisonCreateSerializer, responses={201: ComparisonSerializer})
    def create(self, request: Request) -> Response:
        """Compares; small versions before the answer. The same two are compared once."""
        data = ComparisonCreateSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        seen = DatasetVersion.objects.visible_to(request.user)
        before, after = (
            get_object_or_404(seen, pk=data.validated_data[name]) for name in ("before", "after")
        )
        found = services.comparison_create(before.pk, after.pk, by=actor(request))
        return Response(ComparisonSerializer(found).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        parameters=[OpenApiParameter("kind", str, enum=list(KINDS)), FROM, COUNT],
        responses=ComparedRowsSerializer,
        filters=False,
    )
    @action(detail=True, pagination_class=None)
    def rows(self, request: Request, **kwargs: Any) -> Response:
        """Rows of one kind with what differs, in pages; none before it is done."""
        comparison = self.get_object()
        kind = request.query_params.get("kind", CHANGED)
        total = comparison.counts.get(kind, 0) if kind in KINDS else 0
        if not total:
            return Response({"count": 0, "next_from": None, "results": []})
        start = number_of(request, "from", 1) - 1
        count = min(number_of(request, "page_size", 20), PAGE_MAX)
        rows = compared_rows(comparison, kind, start=start, count=count)
        end = start + len(rows)
        return Response(
            {
                "count": total,
                "next_from": end + 1 if rows and end < total else None,
                "results": [_row(row) for row in rows],
            }
        )


def _row(row: ComparedRow) -> dict[str, Any]:
    return {
        "before": row.before,
        "after": row.after,
        "texts": texts_shown(row.texts),
    }
