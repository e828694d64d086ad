"""REST endpoints of decisions on rows."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from accounts.http import actor
from accounts.permissions import IsAuthenticatedWithScope, within_reach
from datasets import services
from datasets.api.rows import COUNT, FROM, PAGE_MAX, number_of
from datasets.api.statistics import DATASET
from datasets.models import DatasetVersion, Revision
from datasets.revision_serializers import (
    DecideSerializer,
    DecisionSerializer,
    DecisionsSerializer,
    RevisionSerializer,
    SaveSerializer,
)

NUMBER = OpenApiParameter("number", OpenApiTypes.INT, location="path", description="From 1.")


class DecideMixin(GenericViewSet[DatasetVersion]):
    """Decisions on single rows of versions."""

    @extend_schema(
        parameters=[DATASET, NUMBER], request=DecideSerializer, responses=DecisionSerializer
    )
    @action(detail=True, methods=["patch"], url_path=r"rows/(?P<number>[0-9]{1,9})")
    def row(self, request: Request, **kwargs: Any) -> Response:
        """Changes, leaves out or rates a row in the version's draft; see `revisions`."""
        version = self.get_object()
        data = DecideSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        decision = services.row_decide(
            version.pk,
            int(self.kwargs["number"]) - 1,
            by=actor(request),
            **data.validated_data,
        )
        return Response(DecisionSerializer(decision).data)


class RevisionViewSet(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.DestroyModelMixin,
    GenericViewSet[Revision],
):
    """Decisions on rows of versions, which make new ones. A version has one draft at a time."""

    queryset = Revision.objects.none()
    serializer_class = RevisionSerializer
    permission_classes = [IsAuthenticatedWithScope]
    filterset_fields = ("version", "kind", "state")

    def get_queryset(self) -> QuerySet[Revision]:
        """What the caller may see, or change where it is changed."""
        revisions = Revision.objects.select_related("version__dataset", "created_by", "saved_by")
        return within_reach(revisions, self.request)

    def perform_destroy(self, instance: Revision) -> None:
        """Forgets the decisions; 409 when they are being saved, or are saved."""
        services.revision_discard(instance.pk, by=actor(self.request))

    @extend_schema(parameters=[FROM, COUNT], responses=DecisionsSerializer, filters=False)
    @action(detail=True, pagination_class=None)
    def decisions(self, request: Request, **kwargs: Any) -> Response:
        """What was decided, row by row, in pages."""
        decisions = self.get_object().decisions.effective().select_related("by")
        total = decisions.count()
        start = number_of(request, "from", 1) - 1
        end = start + min(number_of(request, "page_size", 20), PAGE_MAX)
        return Response(
            {
                "count": total,
                "next_from": end + 1 if end < total else None,
                "results": DecisionSerializer(decisions[start:end], many=True).data,
            }
        )

    @extend_schema(request=SaveSerializer, responses={202: RevisionSerializer})
    @action(detail=True, methods=["post"])
    def save(self, request: Request, **kwargs: Any) -> Response:
        """Has a new version made: `result`, when the state is `saved`. 422 when nothing changed."""
        revision = self.get_object()
        data = SaveSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        revision = services.revision_save(revision.pk, by=actor(request), **data.validated_data)
        return Response(RevisionSerializer(revision).data, status=status.HTTP_202_ACCEPTED)
