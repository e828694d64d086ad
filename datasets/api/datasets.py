"""REST endpoints of datasets and their versions."""

from pathlib import Path
from typing import Any

import django_filters
from django.db.models import QuerySet
from django.http import Http404, HttpResponseBase
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.parsers import FormParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from accounts.http import actor, project_of
from accounts.permissions import ReadableByAnyone, within_reach
from common.nesting import JSONParser
from common.texts import id_of
from datasets import services
from datasets.api.lengths import LengthsMixin
from datasets.api.revisions import DecideMixin
from datasets.api.rows import COUNT, FROM, PAGE_MAX, RowsMixin, number_of
from datasets.api.sharing import SharesMixin
from datasets.api.statistics import DATASET, StatisticsMixin
from datasets.downloads import FORMS, version_file
from datasets.lineage import sources_seen
from datasets.models import Dataset, DatasetQuerySet, DatasetVersion
from datasets.reading.indexed import IndexedReader
from datasets.serializers import (
    DatasetChangeSerializer,
    DatasetSerializer,
    FindingsSerializer,
    KeepSerializer,
    MappingSerializer,
    VersionSerializer,
)
from datasets.services import Wish
from datasets.shapes.findings import words
from datasets.upload_serializers import DatasetUploadSerializer, VersionUploadSerializer


def _wish(data: dict[str, Any]) -> Wish:
    return Wish(
        shape=data.get("shape", ""), columns=data.get("columns", {}), tags=data.get("tags", {})
    )


class DatasetFilter(django_filters.FilterSet):
    """Datasets by project, shape, whether public, and words in name or remark."""

    project = django_filters.UUIDFilter()
    shape = django_filters.ChoiceFilter(method="with_shape", choices=DatasetVersion.Shape.choices)
    is_public = django_filters.BooleanFilter()
    shared = django_filters.BooleanFilter(
        method="shared_with_me", label="Shared with you or one of your projects."
    )
    name = django_filters.CharFilter(lookup_expr="icontains")
    search = django_filters.CharFilter(method="with_words", label="search")
    ordering = django_filters.OrderingFilter(fields=("name", "created_at", "updated_at"))

    class Meta:
        model = Dataset
        fields = ("project", "shape", "is_public", "shared", "name", "search")

    def with_shape(self, found: DatasetQuerySet, name: str, value: str) -> QuerySet[Dataset]:
        """Datasets of which some version has the shape."""
        return found.of_shape(value)

    def with_words(self, found: DatasetQuerySet, name: str, value: str) -> QuerySet[Dataset]:
        """Datasets whose name or remark has the words."""
        return found.with_words(value)

    def shared_with_me(self, found: QuerySet[Dataset], name: str, value: bool) -> QuerySet[Dataset]:
        """Only those of other projects that are shared with the caller, or only all others."""
        shared = Dataset.objects.shared_with(self.request.user).values("pk")
        return found.filter(pk__in=shared) if value else found.exclude(pk__in=shared)


class DatasetViewSet(
    SharesMixin,
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.DestroyModelMixin,
    GenericViewSet[Dataset],
):
    """Datasets of the caller's projects and public ones; these need no account to be read."""

    queryset = Dataset.objects.none()
    serializer_class = DatasetSerializer
    permission_classes = [ReadableByAnyone]
    parser_classes = [JSONParser, MultiPartParser, FormParser]
    filterset_class = DatasetFilter

    def get_queryset(self) -> QuerySet[Dataset]:
        """What the caller may see, or change where it is changed."""
        datasets = Dataset.objects.select_related("project", "created_by").with_latest()
        return within_reach(datasets, self.request)

    @extend_schema(
        request={
            "multipart/form-data": DatasetUploadSerializer,
            "application/json": DatasetUploadSerializer,
        },
        responses={201: DatasetSerializer},
    )
    def create(self, request: Request) -> Response:
        """Uploads files or rows as a new dataset. Small ones are checked before the answer."""
        data = DatasetUploadSerializer(data=request.data, context=self.get_serializer_context())
        data.is_valid(raise_exception=True)
        given = data.validated_data
        dataset = services.dataset_create(
            project=project_of(request),
            created_by=actor(request),
            name=given.get("name") or Path(str(given["upload"].name)).stem[:80],
            upload=given["upload"],
            remark=given.get("remark", ""),
            is_public=given["is_public"],
            wish=_wish(given),
        )
        return Response(self._shown(dataset), status=status.HTTP_201_CREATED)

    @extend_schema(request=DatasetChangeSerializer, responses=DatasetSerializer)
    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Changes name, remark or who may read."""
        data = DatasetChangeSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        dataset = services.dataset_update(
            self.get_object().pk, by=actor(request), **data.validated_data
        )
        return Response(self._shown(dataset))

    def perform_destroy(self, instance: Dataset) -> None:
        """Deletes all versions; 409 with the jobs' names while a job uses one."""
        services.dataset_delete(instance.pk, by=actor(self.request))

    def _shown(self, dataset: Dataset) -> Any:
        found = Dataset.objects.with_latest().get(pk=dataset.pk)
        return DatasetSerializer(found, context=self.get_serializer_context()).data


@extend_schema_view(
    list=extend_schema(parameters=[DATASET]),
    retrieve=extend_schema(parameters=[DATASET]),
    destroy=extend_schema(parameters=[DATASET]),
)
class VersionViewSet(
    RowsMixin,
    DecideMixin,
    StatisticsMixin,
    LengthsMixin,
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.DestroyModelMixin,
    GenericViewSet[DatasetVersion],
):
    """Versions of a dataset, their rows and what the check found."""

    queryset = DatasetVersion.objects.none()
    serializer_class = VersionSerializer
    permission_classes = [ReadableByAnyone]
    parser_classes = [JSONParser, MultiPartParser, FormParser]

    def get_queryset(self) -> QuerySet[DatasetVersion]:
        """Versions of the dataset in the address that the caller may see or change."""
        versions = DatasetVersion.objects.select_related("dataset__project", "created_by")
        versions = within_reach(versions, self.request)
        dataset_id = id_of(str(self.kwargs.get("dataset_pk")))
        if dataset_id is None:
            raise Http404
        if self.action == "list":
            get_object_or_404(Dataset.objects.visible_to(self.request.user), pk=dataset_id)
        return versions.filter(dataset__pk=dataset_id)

    def get_serializer(self, *args: Any, **kwargs: Any) -> Any:
        """Of a list all sources are asked for at once."""
        if kwargs.get("many"):
            sources = sources_seen(args[0], self.request.user)
            kwargs["context"] = {**self.get_serializer_context(), "sources": sources}
        return super().get_serializer(*args, **kwargs)

    @extend_schema(
        parameters=[DATASET],
        request={
            "multipart/form-data": VersionUploadSerializer,
            "application/json": VersionUploadSerializer,
        },
        responses={201: VersionSerializer},
    )
    def create(self, request: Request, dataset_pk: str) -> Response:
        """Uploads files or rows as the next version."""
        user = actor(request)
        dataset = get_object_or_404(Dataset.objects.editable_by(user), pk=id_of(dataset_pk))
        data = VersionUploadSerializer(data=request.data, context=self.get_serializer_context())
        data.is_valid(raise_exception=True)
        version = services.version_add(
            dataset.pk,
            by=user,
            upload=data.validated_data["upload"],
            wish=_wish(data.validated_data),
        )
        return Response(self._shown(version), status=status.HTTP_201_CREATED)

    def perform_destroy(self, instance: DatasetVersion) -> None:
        """Deletes the version; 409 while a job uses it or when it is the only one."""
        services.version_delete(instance.pk, by=actor(self.request))

    @extend_schema(
        parameters=[DATASET], request=MappingSerializer, responses={200: VersionSerializer}
    )
    @action(detail=True, methods=["post"])
    def mapping(self, request: Request, **kwargs: Any) -> Response:
        """Names shape, columns and roles. A ready version stays; the answer is its successor."""
        data = MappingSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        version = services.version_remap(
            self.get_object().pk, by=actor(request), wish=_wish(data.validated_data)
        )
        return Response(self._shown(version))

    @extend_schema(parameters=[DATASET], request=None, responses={201: VersionSerializer})
    @action(detail=True, methods=["post"])
    def restore(self, request: Request, **kwargs: Any) -> Response:
        """Makes an older version the newest again: the answer is a new one of the same files."""
        version = services.version_restore(self.get_object().pk, by=actor(request))
        return Response(self._shown(version), status=status.HTTP_201_CREATED)

    @extend_schema(parameters=[DATASET], request=KeepSerializer, responses={200: VersionSerializer})
    @action(detail=True, methods=["post"])
    def keep(self, request: Request, **kwargs: Any) -> Response:
        """Pins the version, or takes the pin out."""
        data = KeepSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        version = services.version_keep(
            self.get_object().pk, by=actor(request), kept=data.validated_data["kept"]
        )
        return Response(self._shown(version))

    @extend_schema(parameters=[DATASET, FROM, COUNT], responses=FindingsSerializer, filters=False)
    @action(detail=True, pagination_class=None)
    def findings(self, request: Request, **kwargs: Any) -> Response:
        """What the check found, row by row."""
        path = self.get_object().check_directory / "findings.jsonl"
        if not path.exists():
            return Response({"count": 0, "next_from": None, "results": []})
        reader = IndexedReader(path)
        start = number_of(request, "from", 1) - 1
        lines = reader.page(start, min(number_of(request, "page_size", 50), PAGE_MAX))
        end = start + len(lines)
        return Response(
            {
                "count": reader.count,
                "next_from": end + 1 if end < reader.count else None,
                "results": [_finding(line.value) for line in lines if line.data is not None],
            }
        )

    @extend_schema(
        parameters=[DATASET, OpenApiParameter("form", str, enum=FORMS, default="original")],
        responses={(200, "application/octet-stream"): OpenApiTypes.BINARY},
        filters=False,
    )
    @action(detail=True, pagination_class=None)
    def download(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        """The uploaded file, all rows, the rows that the engine reads, or all findings."""
        return version_file(self.get_object(), request.query_params.get("form", "original"))

    def _shown(self, version: DatasetVersion) -> Any:
        return VersionSerializer(version, context=self.get_serializer_context()).data


def _finding(stored: dict[str, Any]) -> dict[str, Any]:
    return {
        "line": stored["line"],
        "row": stored["row"] + 1,
        "code": stored["code"],
        "drops": stored["drops"],
        "message": words(stored["code"], stored["detail"]),
    }
