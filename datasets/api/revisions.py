"""REST endpoints of decisions on rows."""

from contextlib import suppress
from typing import Any

from django.db.models import QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from accounts.http import actor
from accounts.permissions import IsAuthenticatedWithScope, within_reach
from common.errors import DomainError
from datasets import services
from datasets.agreement import agreement_of
from datasets.api.rows import COUNT, FROM, PAGE_MAX, number_of
from datasets.api.statistics import DATASET
from datasets.editing import row_value
from datasets.models import DatasetVersion, Revision
from datasets.models.edits import SETTLING
from datasets.revision_serializers import (
    AgreementSerializer,
    DecideSerializer,
    DecisionSerializer,
    DecisionsSerializer,
    ReviewCreateSerializer,
    ReviewDecideSerializer,
    ReviewRowSerializer,
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

    @extend_schema(request=ReviewCreateSerializer, responses={201: RevisionSerializer})
    def create(self, request: Request) -> Response:
        """Begins a review: rows in a queue. Drafts of edits begin with the first decision."""
        data = ReviewCreateSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        given = dict(data.validated_data)
        versions = DatasetVersion.objects.editable_by(request.user)
        version = get_object_or_404(versions, pk=given.pop("version"))
        review = services.review_create(version.pk, by=actor(request), **given)
        return Response(RevisionSerializer(review).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=None, responses=ReviewRowSerializer)
    @action(detail=True, methods=["post"])
    def next(self, request: Request, **kwargs: Any) -> Response:
        """The next row of a review that waits for the caller."""
        review = self._review()
        decision = services.review_next(review.pk, by=actor(request))
        value = None
        if decision is not None:
            with suppress(DomainError):  # too long to be shown
                value = row_value(review.version, decision.row)
        return Response(
            {
                "decision": decision.pk if decision else None,
                "number": decision.number if decision else None,
                "value": value,
                "settles": decision is not None and decision.seat == SETTLING,
            }
        )

    @extend_schema(request=ReviewDecideSerializer, responses=DecisionSerializer)
    @action(detail=True, methods=["post"])
    def decide(self, request: Request, **kwargs: Any) -> Response:
        """Decides about the row that `next` gave; 409 when it is not the caller's any more."""
        review = self._review()
        data = ReviewDecideSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        given = dict(data.validated_data)
        decision_id, user = given.pop("decision"), actor(request)
        if given["verdict"] == "skipped":
            services.review_skip(review.pk, decision_id, by=user)
            decision = review.decisions.get(pk=decision_id)
        else:
            decision = services.review_decide(review.pk, decision_id, by=user, **given)
        return Response(DecisionSerializer(decision).data)

    @extend_schema(request=None, responses=DecisionSerializer)
    @action(detail=True, methods=["post"])
    def undo(self, request: Request, **kwargs: Any) -> Response:
        """Opens the caller's last decision of a review again."""
        decision = services.review_undo(self._review().pk, by=actor(request))
        return Response(DecisionSerializer(decision).data)

    @extend_schema(responses=AgreementSerializer, filters=False)
    @action(detail=True, pagination_class=None)
    def agreement(self, request: Request, **kwargs: Any) -> Response:
        """How far the reviewers agree."""
        review = self._review()
        disputed = review.decisions.disputed().count()
        return Response({**agreement_of(review), "disputed": disputed})

    def _review(self) -> Revision:
        revision = self.get_object()
        if not revision.is_review:
            raise Http404
        return revision

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
