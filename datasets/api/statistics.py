"""REST endpoints of what a version's rows are like."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from common.phrases import load
from datasets.contamination import overlaps_seen
from datasets.models import DatasetVersion

DATASET = OpenApiParameter("dataset_pk", OpenApiTypes.UUID, OpenApiParameter.PATH)


class StatisticsSerializer(serializers.Serializer[DatasetVersion]):
    """Counts of a version's rows. What is looked for in a sample stands beside `looked`."""

    state = serializers.SerializerMethodField()
    percent = serializers.SerializerMethodField(help_text="Of a count that goes on.")
    problem = serializers.SerializerMethodField(help_text="Why the rows could not be counted.")
    statistics = serializers.SerializerMethodField(
        help_text="rows, usable, turns, lengths (with `buckets`: length and rows), columns,"
        " balance, shortest, longest, outliers (null where they are yet to be counted), duplicates;"
        " of the `looked` rows also languages and personal."
        " Later also near: rows that are nearly the same as an earlier one, clusters, and how many"
        " rows were looked at, or the error why they could not be counted. Null until rows are"
        " counted."
    )

    def get_state(self, version: DatasetVersion) -> str:
        """`waiting` (for the check or the count), `failed` or `done`."""
        if version.statistics is None:
            return "waiting"
        return "failed" if "error" in version.statistics else "done"

    def get_percent(self, version: DatasetVersion) -> int:
        """How far the count is."""
        if version.statistics is not None:
            return 100
        ready = version.state == DatasetVersion.State.READY
        return int(version.progress.get("percent", 0)) if ready else 0

    def get_problem(self, version: DatasetVersion) -> str:
        """A sentence in the reader's language; empty when all is well."""
        return load((version.statistics or {}).get("error", ""))

    def get_statistics(self, version: DatasetVersion) -> dict[str, Any] | None:
        """The counts."""
        found = version.statistics
        if not found or "error" in found:
            return None
        near = found.get("near")
        if near and "error" in near:
            near = {"error": load(near["error"])}
        return {**found, "near": near, "outliers": found.get("outliers")}


class SharedRowSerializer(serializers.Serializer[Any]):
    """A row that says what a row of an evaluation set asks."""

    row = serializers.IntegerField(help_text="Of this version, from 1.")
    other = serializers.IntegerField(help_text="Of the evaluation set, from 1.")
    exact = serializers.BooleanField(help_text="In the same words; otherwise nearly the same.")


class OverlapSerializer(serializers.Serializer[Any]):
    """What a version shares with one evaluation set."""

    evaluation_set = serializers.UUIDField(source="version.pk")
    name = serializers.CharField(source="version")
    state = serializers.ChoiceField(choices=("waiting", "done", "failed"))
    problem = serializers.CharField(help_text="Why they could not be compared.")
    of = serializers.IntegerField(help_text="Rows of the evaluation set.")
    looked = serializers.IntegerField(help_text="Those of them that were compared.")
    exact = serializers.IntegerField(
        help_text="Rows that say what it asks, anywhere in their texts."
    )
    near = serializers.IntegerField(help_text="Rows that say nearly what it asks.")
    rows = SharedRowSerializer(many=True, help_text="The first of them.")


class StatisticsMixin(GenericViewSet[DatasetVersion]):
    """Statistics of versions."""

    @extend_schema(parameters=[DATASET], responses=StatisticsSerializer, filters=False)
    @action(detail=True, pagination_class=None)
    def statistics(self, request: Request, **kwargs: Any) -> Response:
        """What the rows are like. `state` is `waiting` until they are counted."""
        return Response(StatisticsSerializer(self.get_object()).data)

    @extend_schema(parameters=[DATASET], responses=OverlapSerializer(many=True), filters=False)
    @action(detail=True, pagination_class=None)
    def overlaps(self, request: Request, **kwargs: Any) -> Response:
        """Rows that say what evaluation sets of the project ask; of sets that the caller sees."""
        seen = overlaps_seen(self.get_object(), request.user)
        return Response(OverlapSerializer(seen, many=True).data)
