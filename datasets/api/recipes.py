"""REST endpoints of recipes and their runs."""

from typing import Any

import django_filters
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from accounts.http import actor, project_of
from accounts.permissions import IsAuthenticatedWithScope, within_reach
from common.errors import DomainError
from common.phrases import gettext as _
from common.texts import id_of, whole
from datasets import services
from datasets.generation.asking import Limits
from datasets.models import DatasetVersion, Recipe, RecipeQuerySet, RecipeRun
from datasets.recipes.kinds import KINDS
from datasets.recipes.pipeline import Preview, RowChange
from datasets.serializers import (
    AskSerializer,
    KindSerializer,
    LimitsSerializer,
    RecipeAskedSerializer,
    RecipeChangeSerializer,
    RecipeCreateSerializer,
    RecipePreviewSerializer,
    RecipeRunSerializer,
    RecipeSerializer,
    RunCreateSerializer,
    texts_shown,
)

SEED = 1  # of previews that name none


class RecipeFilter(django_filters.FilterSet):
    """Recipes by project and by words in name or remark."""

    project = django_filters.UUIDFilter()
    search = django_filters.CharFilter(method="with_words", label="search")
    ordering = django_filters.OrderingFilter(fields=("name", "created_at", "updated_at"))

    class Meta:
        model = Recipe
        fields = ("project", "search")

    def with_words(self, found: RecipeQuerySet, name: str, value: str) -> QuerySet[Recipe]:
        """Recipes whose name or remark has the words."""
        return found.with_words(value)


class RecipeViewSet(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.DestroyModelMixin,
    GenericViewSet[Recipe],
):
    """Named steps that make new versions from others."""

    queryset = Recipe.objects.none()
    serializer_class = RecipeSerializer
    permission_classes = [IsAuthenticatedWithScope]
    filterset_class = RecipeFilter

    def get_queryset(self) -> QuerySet[Recipe]:
        """What the caller may see, or change where it is changed."""
        return within_reach(Recipe.objects.select_related("project", "created_by"), self.request)

    @extend_schema(request=RecipeCreateSerializer, responses={201: RecipeSerializer})
    def create(self, request: Request) -> Response:
        """Saves a recipe. A refusal names step and parameter."""
        data = RecipeCreateSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        given = data.validated_data
        recipe = services.recipe_create(
            project=project_of(request),
            created_by=actor(request),
            name=given["name"],
            steps=given["steps"],
            remark=given.get("remark", ""),
        )
        return Response(RecipeSerializer(recipe).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=RecipeChangeSerializer, responses=RecipeSerializer)
    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Changes name, remark or steps."""
        data = RecipeChangeSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        recipe = services.recipe_update(
            self.get_object().pk, by=actor(request), **data.validated_data
        )
        return Response(RecipeSerializer(recipe).data)

    def perform_destroy(self, instance: Recipe) -> None:
        """Deletes the recipe; what it made stays."""
        services.recipe_delete(instance.pk, by=actor(self.request))

    @extend_schema(responses=KindSerializer(many=True), filters=False)
    @action(detail=False, pagination_class=None)
    def kinds(self, request: Request) -> Response:
        """The kinds of steps with their parameters."""
        return Response(KindSerializer([_kind(one) for one in KINDS], many=True).data)

    @extend_schema(
        parameters=[
            OpenApiParameter("version", OpenApiTypes.UUID, required=True),
            OpenApiParameter("seed", int),
        ],
        responses=RecipePreviewSerializer,
        filters=False,
    )
    @action(detail=True, pagination_class=None)
    def preview(self, request: Request, **kwargs: Any) -> Response:
        """What the recipe would do with the first 50 rows of a version; nothing is made, and no
        model asked: steps from the first that asks one on are left out.
        """
        recipe = self.get_object()
        version = _version(request, recipe)
        seed = whole(request.query_params.get("seed", ""))
        found = services.recipe_preview(
            recipe.steps, version, by=actor(request), seed=SEED if seed is None else seed
        )
        return Response(_previewed(found))

    @extend_schema(request=AskSerializer, responses=RecipeAskedSerializer, filters=False)
    @action(detail=True, methods=["post"], pagination_class=None)
    def ask(self, request: Request, **kwargs: Any) -> Response:
        """The same with the models asked about the first 3 rows, for money."""
        recipe = self.get_object()
        data = AskSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        usable = services.recipe_versions(recipe.steps, request.user)
        version = get_object_or_404(usable, pk=data.validated_data["version"])
        found, spent = services.recipe_ask(recipe.steps, version, by=actor(request), seed=SEED)
        return Response({**_previewed(found), "spent": spent.stored()})

    @extend_schema(request=RunCreateSerializer, responses={202: RecipeRunSerializer})
    @action(detail=True, methods=["post"])
    def run(self, request: Request, **kwargs: Any) -> Response:
        """Has the recipe run on a version in the background."""
        recipe = self.get_object()
        data = RunCreateSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        given = data.validated_data
        seen = DatasetVersion.objects.visible_to(request.user)
        run = services.run_create(
            recipe.pk,
            by=actor(request),
            version_id=get_object_or_404(seen, pk=given["version"]).pk,
            name=given["name"],
            seed=given["seed"],
            limits=Limits(given["max_cost"], given["max_tokens"]),
        )
        return Response(RecipeRunSerializer(run).data, status=status.HTTP_202_ACCEPTED)


class RecipeRunViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[RecipeRun]):
    """Runs of recipes: how far they are, what each step did, what came of it."""

    queryset = RecipeRun.objects.none()
    serializer_class = RecipeRunSerializer
    permission_classes = [IsAuthenticatedWithScope]
    filterset_fields = ("project", "recipe", "source", "state")

    def get_queryset(self) -> QuerySet[RecipeRun]:
        """What the caller may see, or change where it is changed."""
        runs = RecipeRun.objects.select_related("project", "created_by")
        return within_reach(runs.prefetch_related("outputs", "inputs"), self.request)

    @extend_schema(request=None, responses=RecipeRunSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, **kwargs: Any) -> Response:
        """Ends the run; nothing it made is kept. 409 when it has ended."""
        run = services.run_cancel(self.get_object().pk, by=actor(request))
        return Response(RecipeRunSerializer(run).data)

    @extend_schema(request=LimitsSerializer, responses={202: RecipeRunSerializer})
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, **kwargs: Any) -> Response:
        """Has a failed run go on; what models answered before is not asked again. 409 when it has
        not failed or its answers are gone.
        """
        data = LimitsSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        given = data.validated_data
        run = services.run_resume(
            self.get_object().pk,
            by=actor(request),
            limits=Limits(given["max_cost"], given["max_tokens"]),
        )
        return Response(RecipeRunSerializer(run).data, status=status.HTTP_202_ACCEPTED)


def _version(request: Request, recipe: Recipe) -> DatasetVersion:
    """The version that the query names; DomainError when the caller sees none that will do."""
    wanted = id_of(request.query_params.get("version", ""))
    usable = services.recipe_versions(recipe.steps, request.user)
    version = usable.filter(pk=wanted).first() if wanted else None
    if version is None:
        raise DomainError(
            _("Name a version that is ready in the query: ?version=ID."), field="version"
        )
    return version


def _kind(name: str) -> dict[str, Any]:
    kind = KINDS[name]
    return {
        "name": name,
        "title": kind.label,
        "text": kind.text,
        "parameters": [
            {
                "name": one.name,
                "title": one.label,
                "help": one.help,
                "type": type(one).__name__.lower(),
                "default": one.default,
            }
            for one in kind.parameters
        ],
    }


def _previewed(found: Preview) -> dict[str, Any]:
    report = [outcome.stored() for outcome in found.outcomes]
    return {"report": report, "rows": [_row(row) for row in found.rows]}


def _row(row: RowChange) -> dict[str, Any]:
    return {
        "number": row.number,
        "changed": row.changed,
        "added": row.added,
        "part": row.part,
        "dropped_by": row.step,
        "reason": row.reason,
        "texts": texts_shown(row.texts),
    }
