"""Tokens with which machines come in, over REST."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.http import actor
from accounts.permissions import IsOperatorWithScope, within_reach
from nodes import services
from nodes.models import Node, NodeToken


class NodeTokenSerializer(serializers.ModelSerializer[NodeToken]):
    """A token, without what opens."""

    node = serializers.SlugRelatedField[Node](slug_field="name", read_only=True)

    class Meta:
        model = NodeToken
        fields: tuple[str, ...] = (
            "id",
            "prefix",
            "note",
            "expires_at",
            "used_at",
            "node",
            "created_at",
        )


class NodeTokenCreateSerializer(serializers.Serializer[Any]):
    """A new one."""

    note = serializers.CharField(max_length=120, required=False, allow_blank=True, default="")
    hours = serializers.IntegerField(min_value=1, max_value=720, default=24)


class NodeTokenMadeSerializer(NodeTokenSerializer):
    """With the token, this once."""

    token = serializers.CharField()

    class Meta(NodeTokenSerializer.Meta):
        fields = (*NodeTokenSerializer.Meta.fields, "token")


class NodeTokenViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[NodeToken]
):
    """Tokens with which machines come in; for operators."""

    serializer_class = NodeTokenSerializer
    permission_classes = (IsOperatorWithScope,)
    queryset = NodeToken.objects.none()

    def get_queryset(self) -> QuerySet[NodeToken]:
        """All of them, the newest first."""
        return within_reach(NodeToken.objects.select_related("node"), self.request)

    @extend_schema(request=NodeTokenCreateSerializer, responses={201: NodeTokenMadeSerializer})
    def create(self, request: Request) -> Response:
        """A token for one machine, shown this once."""
        form = NodeTokenCreateSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        made, token = services.node_token_create(by=actor(request), **form.validated_data)
        answer = {**NodeTokenSerializer(made).data, "token": token}
        return Response(answer, status=201, headers={"Cache-Control": "no-store"})

    def destroy(self, request: Request, pk: str | None = None) -> Response:
        """Closes it; who came in with it stays."""
        services.node_token_revoke(self.get_object().pk, by=actor(request))
        return Response(status=204)
