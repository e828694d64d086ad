"""REST endpoints of providers of models."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from accounts.http import actor, project_of
from accounts.permissions import IsAuthenticatedWithScope, within_reach
from datasets import services
from datasets.models import Provider
from datasets.provider_serializers import (
    ProbeSerializer,
    ProviderChangeSerializer,
    ProviderCreateSerializer,
    ProviderSerializer,
)


class ProviderViewSet(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.DestroyModelMixin,
    GenericViewSet[Provider],
):
    """OpenAI-compatible APIs that recipes ask. Keys are written, never read."""

    queryset = Provider.objects.none()
    serializer_class = ProviderSerializer
    permission_classes = [IsAuthenticatedWithScope]
    filterset_fields = ("project",)

    def get_queryset(self) -> QuerySet[Provider]:
        """What the caller may see, or change where it is changed."""
        return within_reach(Provider.objects.select_related("project", "created_by"), self.request)

    @extend_schema(request=ProviderCreateSerializer, responses={201: ProviderSerializer})
    def create(self, request: Request) -> Response:
        """Adds a provider."""
        data = ProviderCreateSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        given = dict(data.validated_data)
        given.pop("project", None)
        provider = services.provider_create(
            project=project_of(request), created_by=actor(request), **given
        )
        return Response(ProviderSerializer(provider).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=ProviderChangeSerializer, responses=ProviderSerializer)
    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Changes what is given. Another server's address needs the key again."""
        data = ProviderChangeSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        provider = services.provider_update(
            self.get_object().pk, by=actor(request), **data.validated_data
        )
        return Response(ProviderSerializer(provider).data)

    def perform_destroy(self, instance: Provider) -> None:
        """Forgets the provider and its key. 409 while a run asks it."""
        services.provider_delete(instance.pk, by=actor(self.request))

    @extend_schema(request=None, responses=ProbeSerializer)
    @action(detail=True, methods=["post"])
    def test(self, request: Request, **kwargs: Any) -> Response:
        """Asks the usual model for a word, which may cost a few tokens."""
        probe = services.provider_test(self.get_object().pk, by=actor(request))
        return Response(ProbeSerializer(probe).data)
