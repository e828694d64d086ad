"""Nodes over REST."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import mixins, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.http import actor
from nodes import curves, services
from nodes.models import Gpu, Node, NodeSample


class GpuSerializer(serializers.ModelSerializer[Gpu]):
    """A device; memory in bytes."""

    in_use = serializers.SerializerMethodField()

    class Meta:
        model = Gpu
        fields = ("index", "name", "memory_bytes", "is_present", "in_use")

    def get_in_use(self, gpu: Gpu) -> bool:
        """Whether a workload holds it."""
        return any(lease.released_at is None for lease in gpu.leases.all())


class SampleSerializer(serializers.ModelSerializer[NodeSample]):
    """How busy a node was at a moment."""

    class Meta:
        model = NodeSample
        fields = ("at", "cpu_percent", "memory_used_bytes", "disk_used_bytes", "gpus")


class NodeSerializer(serializers.ModelSerializer[Node]):
    """A node and how it is now; its address is for operators."""

    gpus = GpuSerializer(many=True, read_only=True)
    load = serializers.SerializerMethodField()
    address = serializers.SerializerMethodField()

    class Meta:
        model = Node
        fields = (
            "id",
            "name",
            "state",
            "is_cordoned",
            "note",
            "cpu_count",
            "memory_bytes",
            "disk_bytes",
            "facts",
            "heartbeat_at",
            "gpus",
            "load",
            "address",
        )
        read_only_fields = fields

    @extend_schema_field(SampleSerializer(allow_null=True))
    def get_load(self, node: Node) -> dict[str, Any] | None:
        """The newest sample."""
        sample = node.samples.order_by("-at").first()
        return dict(SampleSerializer(sample).data) if sample else None

    def get_address(self, node: Node) -> str:
        """Empty for everybody but operators."""
        return node.address if actor(self.context["request"]).is_staff else ""


class NodeChangeSerializer(serializers.Serializer[Any]):
    """What an operator may change of a node."""

    note = serializers.CharField(max_length=200, allow_blank=True, required=False)
    is_cordoned = serializers.BooleanField(required=False)


class NodeViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Node]):
    """The machines that run workloads."""

    serializer_class = NodeSerializer
    queryset = Node.objects.none()

    def get_queryset(self) -> QuerySet[Node]:
        """Everybody with an account sees them; operators change them."""
        user = actor(self.request)
        nodes = Node.objects.prefetch_related("gpus__leases")
        changing = self.action == "partial_update"
        return nodes.editable_by(user) if changing else nodes.visible_to(user)

    @extend_schema(request=NodeChangeSerializer, responses=NodeSerializer)
    def partial_update(self, request: Request, pk: str | None = None) -> Response:
        """Changes the note, or whether it takes new work (operators)."""
        node, by = self.get_object(), actor(request)
        form = NodeChangeSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        if "is_cordoned" in form.validated_data:
            node = services.node_cordon(node.pk, cordoned=form.validated_data["is_cordoned"], by=by)
        if "note" in form.validated_data:
            node = services.node_note(node.pk, note=form.validated_data["note"], by=by)
        return Response(self.get_serializer(node).data)

    @extend_schema(
        parameters=[OpenApiParameter("span", enum=list(curves.SPANS), default="hour")],
        responses=OpenApiTypes.OBJECT,
    )
    @action(detail=True, methods=["get"])
    def samples(self, request: Request, pk: str | None = None) -> Response:
        """The node's curves, in per cent."""
        return Response(curves.curves(self.get_object(), request.query_params.get("span", "hour")))
