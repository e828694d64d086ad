"""REST endpoints of models, versions, base models and evaluations."""

from dataclasses import asdict
from typing import Any

import django_filters
from django.db.models import Q, QuerySet
from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from accounts.http import actor
from accounts.models import Project
from accounts.permissions import (
    IsOperatorWithScope,
    OperatorWritesWithScope,
    within_reach,
)
from common.texts import text_of
from registry import catalogue, downloads, rows, services
from registry.models import Evaluation, Model, ModelVersion
from registry.serializers import (
    BaseModelAddSerializer,
    BaseModelChangeSerializer,
    BaseModelSerializer,
    CandidateSerializer,
    EvaluationSerializer,
    FileSerializer,
    FolderImportSerializer,
    ModelChangeSerializer,
    ModelSerializer,
    ModelVersionSerializer,
    RowSerializer,
)

BINARY = {(200, "application/zip"): OpenApiTypes.BINARY}


def own_projects(request: Request | None) -> QuerySet[Project]:
    """Projects of the caller; none while the schema is written."""
    return Project.objects.visible_to(request.user) if request else Project.objects.none()


class ModelFilter(django_filters.FilterSet):
    """Models by project, kind of a version, and words in name or remark."""

    project = django_filters.UUIDFilter()
    kind = django_filters.ChoiceFilter(
        field_name="versions__kind", choices=ModelVersion.Kind.choices, distinct=True
    )
    search = django_filters.CharFilter(method="with_words", label="search")
    ordering = django_filters.OrderingFilter(fields=("name", "created_at"))

    class Meta:
        model = Model
        fields = ("project", "kind", "search")

    def with_words(self, found: QuerySet[Model], name: str, value: str) -> QuerySet[Model]:
        """Models whose name or remark has the words."""
        return found.filter(Q(name__icontains=value) | Q(remark__icontains=value))


class ModelViewSet(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.DestroyModelMixin,
    GenericViewSet[Model],
):
    """Models of the caller's projects and the enabled base models."""

    queryset = Model.objects.none()
    serializer_class = ModelSerializer
    filterset_class = ModelFilter

    def get_queryset(self) -> QuerySet[Model]:
        """What the caller may see, or change where it is changed."""
        return within_reach(Model.objects.prefetch_related("versions__model"), self.request)

    @extend_schema(request=ModelChangeSerializer, responses=ModelSerializer)
    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Changes name or remark."""
        data = ModelChangeSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        model = services.model_update(
            self.get_object().pk, by=actor(request), **data.validated_data
        )
        return Response(ModelSerializer(model, context=self.get_serializer_context()).data)

    def perform_destroy(self, instance: Model) -> None:
        """Deletes the model with its versions; 409 while something uses one."""
        services.model_delete(instance.pk, by=actor(self.request))


class VersionFilter(django_filters.FilterSet):
    """Versions by model, kind, source, base, and where they may be used."""

    model = django_filters.UUIDFilter()
    project = django_filters.UUIDFilter(field_name="model__project")
    base = django_filters.UUIDFilter()
    kind = django_filters.ChoiceFilter(choices=ModelVersion.Kind.choices)
    source = django_filters.ChoiceFilter(choices=ModelVersion.Source.choices)
    usable_in = django_filters.ModelChoiceFilter(
        queryset=own_projects, method="which_are_usable", label="project"
    )
    search = django_filters.CharFilter(field_name="model__name", lookup_expr="icontains")
    ordering = django_filters.OrderingFilter(fields=("created_at", "number"))

    class Meta:
        model = ModelVersion
        fields = ("model", "kind", "source")

    def which_are_usable(
        self, found: QuerySet[ModelVersion], name: str, value: Project
    ) -> QuerySet[ModelVersion]:
        """Enabled base models and the project's own versions."""
        return found.filter(pk__in=ModelVersion.objects.usable_in(value).values("pk"))


class ModelVersionViewSet(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.DestroyModelMixin,
    GenericViewSet[ModelVersion],
):
    """Immutable weights with their origin and scores."""

    queryset = ModelVersion.objects.none()
    serializer_class = ModelVersionSerializer
    filterset_class = VersionFilter

    def get_queryset(self) -> QuerySet[ModelVersion]:
        """What the caller may see, or change where it is changed."""
        versions = ModelVersion.objects.select_related("model", "base__model")
        return within_reach(versions, self.request).order_by("model__name", "-number")

    def perform_destroy(self, instance: ModelVersion) -> None:
        """Deletes the version and its files; 409 while something uses it."""
        services.version_delete(instance.pk, by=actor(self.request))

    @extend_schema(responses=FileSerializer(many=True), filters=False)
    @action(detail=True, pagination_class=None)
    def files(self, request: Request, pk: str | None = None) -> Response:
        """Name and size of each file."""
        found = [{"name": name, "bytes": size} for name, size in self.get_object().files()]
        return Response(FileSerializer(found, many=True).data)

    @extend_schema(responses=BINARY)
    @action(detail=True)
    def download(self, request: Request, pk: str | None = None) -> HttpResponseBase:
        """All files as one zip archive, streamed."""
        return downloads.version_zip(self.get_object())


class BaseModelFilter(django_filters.FilterSet):
    """Base models by state, source and words in the name or a hub id."""

    is_enabled = django_filters.BooleanFilter()
    source = django_filters.ChoiceFilter(
        field_name="versions__source", choices=ModelVersion.Source.choices
    )
    search = django_filters.CharFilter(method="with_words", label="search")

    class Meta:
        model = Model
        fields = ("is_enabled",)

    def with_words(self, found: QuerySet[Model], name: str, value: str) -> QuerySet[Model]:
        """Base models whose name or hub id has the words."""
        return found.filter(
            Q(name__icontains=value)
            | Q(versions__hf_id__icontains=value)
            | Q(versions__ms_id__icontains=value)
        ).distinct()


class BaseModelViewSet(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.DestroyModelMixin,
    GenericViewSet[Model],
):
    """The catalogue. Everybody reads what is enabled; operators see all of it and write."""

    queryset = Model.objects.none()
    serializer_class = BaseModelSerializer
    permission_classes = (OperatorWritesWithScope,)
    filterset_class = BaseModelFilter

    def get_queryset(self) -> QuerySet[Model]:
        """Base models that the caller may see."""
        return (
            Model.objects.visible_to(actor(self.request))
            .filter(project=None)
            .prefetch_related("versions__model", "versions__base")
        )

    @extend_schema(request=BaseModelAddSerializer, responses={201: BaseModelSerializer})
    def create(self, request: Request) -> Response:
        """Adds a base model that lies on a hub."""
        data = BaseModelAddSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        model = services.base_model_add(by=actor(request), **data.validated_data)
        return Response(self.get_serializer(model).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=BaseModelChangeSerializer, responses=BaseModelSerializer)
    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Enables, disables or edits a base model."""
        data = BaseModelChangeSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        model = services.base_model_update(
            self.get_object().pk, by=actor(request), **data.validated_data
        )
        return Response(self.get_serializer(model).data)

    def perform_destroy(self, instance: Model) -> None:
        """Deletes a base model; 409 while something uses it."""
        services.model_delete(instance.pk, by=actor(self.request))

    @extend_schema(responses={200: {"type": "array", "items": {"type": "string"}}}, filters=False)
    @action(detail=False, pagination_class=None)
    def templates(self, request: Request) -> Response:
        """Names of the chat templates that the engine knows."""
        return Response(catalogue.templates())

    @extend_schema(responses=CandidateSerializer(many=True), filters=False)
    @action(
        detail=False,
        url_path="import-folders",
        pagination_class=None,
        permission_classes=(IsOperatorWithScope,),
    )
    def import_folders(self, request: Request) -> Response:
        """The folders under models/import that could be imported."""
        found = [asdict(candidate) for candidate in services.import_candidates()]
        return Response(CandidateSerializer(found, many=True).data)

    @extend_schema(request=FolderImportSerializer, responses={201: ModelVersionSerializer})
    @action(detail=False, methods=["post"], url_path="import")
    def import_folder(self, request: Request) -> Response:
        """Imports one of the folders under models/import."""
        data = FolderImportSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        version = services.folder_import(
            by=actor(request), **{"template": "", **data.validated_data}
        )
        context = self.get_serializer_context()
        return Response(
            ModelVersionSerializer(version, context=context).data, status=status.HTTP_201_CREATED
        )


class EvaluationFilter(django_filters.FilterSet):
    """Evaluations by project, version, model and data."""

    project = django_filters.UUIDFilter()
    version = django_filters.UUIDFilter()
    model = django_filters.UUIDFilter(field_name="version__model")
    dataset_version = django_filters.UUIDFilter(field_name="dataset_version_id")
    ordering = django_filters.OrderingFilter(fields=("created_at", "rows"))

    class Meta:
        model = Evaluation
        fields = ("project", "version")


class EvaluationViewSet(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.DestroyModelMixin,
    GenericViewSet[Evaluation],
):
    """Scores of versions on data, recomputable from the stored answers."""

    queryset = Evaluation.objects.none()
    serializer_class = EvaluationSerializer
    filterset_class = EvaluationFilter

    def get_queryset(self) -> QuerySet[Evaluation]:
        """What the caller may see, or change where it is changed."""
        scored = Evaluation.objects.select_related("version__model", "baseline__version__model")
        return within_reach(scored, self.request)

    def perform_destroy(self, instance: Evaluation) -> None:
        """Deletes the scores; the answers stay with their job."""
        services.evaluation_delete(instance.pk, by=actor(self.request))

    @extend_schema(
        responses=RowSerializer(many=True),
        filters=False,
        parameters=[
            OpenApiParameter("sort", description="A metric: worst first; -metric: best first."),
            OpenApiParameter("search", description="Words in question or answers."),
            OpenApiParameter("differing", OpenApiTypes.BOOL, description="Right/wrong differs."),
        ],
    )
    @action(detail=True)
    def rows(self, request: Request, pk: str | None = None) -> Response:
        """Questions, answers and scores row by row."""
        evaluation = self.get_object()
        places = rows.order(
            evaluation,
            sort=request.query_params.get("sort", ""),
            search=text_of(request.query_params, "search"),
            differing=request.query_params.get("differing", "").lower() in {"1", "true"},
        )
        # The paginator takes any sequence; the stubs know querysets only.
        shown: list[int] = self.paginate_queryset(places) or []
        found = [asdict(row) for row in rows.page(evaluation, shown)]
        return self.get_paginated_response(RowSerializer(found, many=True).data)

    @extend_schema(request=None, responses=EvaluationSerializer)
    @action(detail=True, methods=["post"])
    def rescore(self, request: Request, pk: str | None = None) -> Response:
        """Computes the scores anew from the stored answers, without the model."""
        evaluation = services.evaluation_rescore(self.get_object().pk, by=actor(request))
        return Response(self.get_serializer(evaluation).data)

    @extend_schema(
        parameters=[OpenApiParameter("as", enum=["jsonl", "csv"], description="Format.")],
        responses={(200, "text/csv"): OpenApiTypes.BINARY},
    )
    @action(detail=True)
    def download(self, request: Request, pk: str | None = None) -> HttpResponseBase:
        """The stored answers as JSON Lines, or with the scores as CSV."""
        evaluation = self.get_object()
        if request.query_params.get("as") == "csv":
            return downloads.rows_csv(evaluation)
        return downloads.rows_jsonl(evaluation)
