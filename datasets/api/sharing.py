"""Shares of a dataset over REST."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.http import actor
from accounts.permissions import IsAuthenticatedWithScope
from datasets import services
from datasets.models import Dataset, DatasetShare

OF_SHARE = OpenApiParameter("share_id", OpenApiTypes.UUID, OpenApiParameter.PATH)


class ShareSerializer(serializers.ModelSerializer[DatasetShare]):
    """Somebody who may read and use the dataset."""

    name = serializers.CharField(source="receiver", read_only=True)
    created_by = serializers.CharField(source="created_by.username", read_only=True, default=None)

    class Meta:
        model = DatasetShare
        fields = ("id", "name", "user", "project", "created_by", "created_at")
        read_only_fields = fields


class ShareCreateSerializer(serializers.Serializer[Any]):
    """A person or a project; one of the two."""

    user = serializers.CharField(
        max_length=254, required=False, default="", help_text="User name or e-mail address."
    )
    receiver = serializers.CharField(
        max_length=36, required=False, default="", help_text="A project's id."
    )


class SharesMixin:
    """With whom a dataset is shared; for those who may change it."""

    @extend_schema(methods=["get"], responses=ShareSerializer(many=True), filters=False)
    @extend_schema(
        methods=["post"], request=ShareCreateSerializer, responses={201: ShareSerializer}
    )
    @action(
        detail=True,
        methods=["get", "post"],
        pagination_class=None,
        permission_classes=[IsAuthenticatedWithScope],
        serializer_class=ShareCreateSerializer,
    )
    def shares(self, request: Request, pk: str) -> Response:
        """The shares; a POST adds one. It lets read and use, not change."""
        dataset = _editable(request, pk)
        if request.method == "POST":
            data = ShareCreateSerializer(data=request.data)
            data.is_valid(raise_exception=True)
            given = data.validated_data
            share = services.share_create(
                dataset.pk, by=actor(request), user=given["user"], project=given["receiver"]
            )
            return Response(ShareSerializer(share).data, status=status.HTTP_201_CREATED)
        shares = dataset.shares.select_related("user", "project", "created_by")
        return Response(ShareSerializer(shares, many=True).data)

    @extend_schema(parameters=[OF_SHARE], responses={204: None})
    @action(detail=True, methods=["delete"], url_path=r"shares/(?P<share_id>[0-9a-fA-F-]{36})")
    def share(self, request: Request, pk: str, share_id: str) -> Response:
        """Takes a share back; what was begun with the data goes on."""
        shares = DatasetShare.objects.editable_by(actor(request))
        share = get_object_or_404(shares, pk=share_id, dataset=pk)
        services.share_delete(share.pk, by=actor(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


def _editable(request: Request, pk: str) -> Dataset:
    return get_object_or_404(Dataset.objects.editable_by(actor(request)), pk=pk)
