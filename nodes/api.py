"""Nodes and workloads over REST."""

from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import mixins, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.http import actor
from common.errors import DomainError
from nodes import curves, services
from nodes.models import Gpu, Node, NodeSample, Workload
from nodes.pieces import log_piece

ORDINARY_PRIORITY = 50


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


class WorkloadSerializer(serializers.ModelSerializer[Workload]):
    """A process to run: what it asks for, where it stands, how it ended."""

    node = serializers.SlugRelatedField[Node](slug_field="name", read_only=True)
    place = serializers.SerializerMethodField()
    waits_because = serializers.SerializerMethodField()

    class Meta:
        model = Workload
        fields = (
            "id",
            "project",
            "name",
            "engine",
            "verb",
            "is_service",
            "gpus",
            "gpu_memory_bytes",
            "cpus",
            "memory_bytes",
            "wall_seconds",
            "priority",
            "state",
            "outcome",
            "reason",
            "place",
            "waits_because",
            "node",
            "exit_code",
            "queued_at",
            "placed_at",
            "started_at",
            "ended_at",
        )
        read_only_fields = fields

    def get_place(self, workload: Workload) -> int:
        """The place in the queue from 1; 0 when it does not wait."""
        return services.queue_position(workload)[0]

    def get_waits_because(self, workload: Workload) -> str:
        """Why it waits, in the reader's language."""
        return services.reason_text(workload.waits_for)


class StopSerializer(serializers.Serializer[Any]):
    """How to stop."""

    mode = serializers.ChoiceField(choices=("checkpoint", "kill"), default="checkpoint")
    reason = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")


class PrioritySerializer(serializers.Serializer[Any]):
    """Who comes first: higher ones."""

    priority = serializers.IntegerField(min_value=0, max_value=100)


class LogPieceSerializer(serializers.Serializer[Any]):
    """A part of a log; offsets in bytes."""

    offset = serializers.IntegerField()
    next = serializers.IntegerField()
    text = serializers.CharField()
    end = serializers.BooleanField(required=False)


class WorkloadViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Workload]
):
    """Workloads of the user's projects. Jobs and deployments make them."""

    serializer_class = WorkloadSerializer
    filterset_fields = ("state", "outcome", "project", "verb")
    queryset = Workload.objects.none()

    def get_queryset(self) -> QuerySet[Workload]:
        """Visible ones; those that the user may change for actions."""
        user = actor(self.request)
        rows = Workload.objects.select_related("node").order_by("-queued_at")
        if self.action in {"stop", "priority"}:
            return rows.editable_by(user)
        return rows.visible_to(user)

    @extend_schema(request=StopSerializer, responses=WorkloadSerializer)
    @action(detail=True, methods=["post"])
    def stop(self, request: Request, pk: str | None = None) -> Response:
        """Stops it; what waits ends at once."""
        form = StopSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        by = actor(request)
        reason = form.validated_data["reason"] or _("Stopped by %(user)s.") % {"user": by.username}
        workload = services.workload_stop(
            self.get_object().pk, mode=form.validated_data["mode"], reason=reason, by=by
        )
        return Response(self.get_serializer(workload).data)

    @extend_schema(request=PrioritySerializer, responses=WorkloadSerializer)
    @action(detail=True, methods=["post"])
    def priority(self, request: Request, pk: str | None = None) -> Response:
        """Changes the place in the queue; only operators put something before the ordinary."""
        form = PrioritySerializer(data=request.data)
        form.is_valid(raise_exception=True)
        workload, by, wanted = self.get_object(), actor(request), form.validated_data["priority"]
        if wanted > ORDINARY_PRIORITY and not by.is_staff:
            raise DomainError(
                _("Only operators give a priority above %(limit)s.") % {"limit": ORDINARY_PRIORITY},
                field="priority",
            )
        workload = services.workload_priority_set(workload.pk, wanted, by=by)
        return Response(self.get_serializer(workload).data)

    @extend_schema(
        parameters=[
            OpenApiParameter("offset", int, description="what follows this byte"),
            OpenApiParameter("before", int, description="what stands before this byte"),
        ],
        responses=LogPieceSerializer,
    )
    @action(detail=True, methods=["get"])
    def log(self, request: Request, pk: str | None = None) -> Response:
        """A part of the log: the last lines, or those after or before a byte."""
        numbers: dict[str, int | None] = {"offset": None, "before": None}
        for name in numbers:
            text = request.query_params.get(name)
            if text is not None:
                if not text.isdecimal() or len(text) > 18:
                    raise DomainError(_("An offset is a number of bytes."), field=name)
                numbers[name] = int(text)
        workload = self.get_object()
        return Response(log_piece(workload, before=numbers["before"], offset=numbers["offset"]))
