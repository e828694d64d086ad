"""REST endpoints of imports."""

from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from accounts.http import actor, project_of
from accounts.permissions import IsAuthenticatedWithScope, within_reach
from datasets import services
from datasets.import_serializers import (
    ImportChoiceSerializer,
    ImportCreateSerializer,
    ImportResumeSerializer,
    ImportSerializer,
)
from datasets.models import Dataset, Import

_SECRETS = ("token", "access_key", "secret_key")


class ImportViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[Import]):
    """Data from hubs, stores of objects and shared directories, fetched in the background."""

    queryset = Import.objects.none()
    serializer_class = ImportSerializer
    permission_classes = [IsAuthenticatedWithScope]
    filterset_fields = ("project", "kind", "state", "dataset")

    def get_queryset(self) -> QuerySet[Import]:
        """What the caller may see, or change where it is changed."""
        return within_reach(Import.objects.select_related("project", "created_by"), self.request)

    @extend_schema(request=ImportCreateSerializer, responses={202: ImportSerializer})
    def create(self, request: Request) -> Response:
        """Begins an import. Tokens and keys are kept under lock until it ends, then forgotten."""
        data = ImportCreateSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        given = data.validated_data
        dataset = given.get("dataset")
        if dataset is not None:
            editable = Dataset.objects.editable_by(request.user)
            dataset = get_object_or_404(editable, pk=dataset).pk
        wish = None
        if given.get("shape"):
            words = {name: given.get(name) or {} for name in ("columns", "tags")}
            wish = services.Wish(shape=given["shape"], **words)
        found = services.import_create(
            project=project_of(request),
            created_by=actor(request),
            kind=given["kind"],
            reference=given,
            secrets={name: given.get(name, "") for name in _SECRETS},
            name=given.get("name", ""),
            dataset_id=dataset,
            wish=wish,
        )
        return Response(ImportSerializer(found).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(request=ImportChoiceSerializer, responses=ImportSerializer)
    @action(detail=True, methods=["post"])
    def choose(self, request: Request, **kwargs: Any) -> Response:
        """Goes on with some of `offers`. 409 when nothing is to be chosen."""
        asking = self.get_object()
        data = ImportChoiceSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        choices = data.validated_data["choices"]
        found = services.import_choose(asking.pk, choices, by=actor(request))
        return Response(ImportSerializer(found).data)

    @extend_schema(request=ImportResumeSerializer, responses={202: ImportSerializer})
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, **kwargs: Any) -> Response:
        """Has a failed import go on with what has arrived; where it had a token or keys, they are
        given again. 409 when nothing of it is kept.
        """
        data = ImportResumeSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        found = services.import_resume(
            self.get_object().pk, by=actor(request), secrets=data.validated_data
        )
        return Response(ImportSerializer(found).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(request=None, responses=ImportSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, **kwargs: Any) -> Response:
        """Ends the import; nothing of it is kept. 409 when it has ended."""
        found = services.import_cancel(self.get_object().pk, by=actor(request))
        return Response(ImportSerializer(found).data)
