"""How machines come in and say who they are: `/api/v1/agent/…`."""

from datetime import UTC, datetime
from typing import Any

from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import ScopedRateThrottle
from rest_framework.views import APIView

from common.addresses import is_loopback
from common.version import VERSION
from nodes import services
from nodes.authentication import IsNode, NodeKeyAuthentication
from nodes.models import Node


class JoinSerializer(serializers.Serializer[Any]):
    """What a machine says: the id of its token, and the rest sealed with the token's secret."""

    token = serializers.CharField(max_length=40)
    sealed = serializers.CharField(max_length=65_536)


class JoinView(APIView):
    """A machine becomes a node. Throttled by address: tokens are not guessed."""

    schema = None
    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = (ScopedRateThrottle,)
    throttle_scope = "node_join"

    def post(self, request: Request) -> Response:
        """Lets a machine in with a token that is used up by this."""
        form = JoinSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        address = str(ScopedRateThrottle().get_ident(request))
        sealed = services.node_join(
            form.validated_data["token"],
            form.validated_data["sealed"],
            address=address,
            remote=not is_loopback(address),
        )
        response = Response({"sealed": sealed}, status=201)
        response["Cache-Control"] = "no-store"
        return response


class HelloSerializer(serializers.Serializer[Any]):
    """What a node says before it starts: its version, and the moment by its clock (seconds)."""

    version = serializers.CharField(max_length=40)
    clock = serializers.FloatField(min_value=0, max_value=2**33)


class HelloView(APIView):
    """A node asks whether it may start."""

    schema = None
    authentication_classes = (NodeKeyAuthentication,)
    permission_classes = (IsNode,)

    def post(self, request: Request) -> Response:
        """Checks key, version and clock; changes nothing."""
        form = HelloSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        node = request.auth
        assert isinstance(node, Node)
        moment = datetime.fromtimestamp(form.validated_data["clock"], UTC)
        services.node_hello(node, version=form.validated_data["version"], clock=moment)
        return Response({"name": node.name, "state": node.state, "version": VERSION})
