"""Nodes over REST."""

from typing import Any

from django.db.models import F, Prefetch, QuerySet
from django.http import Http404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import mixins, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.http import actor
from accounts.permissions import within_reach
from nodes import curves, services
from nodes.models import Gpu, Node, NodeSample, Workload
from nodes.services.sentences import exclusion_text, start_trouble

HIDDEN = ("disks", "docker_root", "network_is_open")  # facts that are for operators


class GpuSerializer(serializers.ModelSerializer[Gpu]):
    """A device; memory in bytes."""

    in_use = serializers.SerializerMethodField()
    exclusion = serializers.SerializerMethodField()

    class Meta:
        model = Gpu
        fields = (
            "index",
            "uuid",
            "name",
            "memory_bytes",
            "is_present",
            "gone_at",
            "health",
            "health_codes",
            "ecc_uncorrected",
            "excluded_at",
            "exclusion",
            "in_use",
        )

    def get_in_use(self, gpu: Gpu) -> bool:
        """Whether a workload holds it."""
        return any(lease.released_at is None for lease in gpu.leases.all())

    def get_exclusion(self, gpu: Gpu) -> str:
        """Why it was taken out, in the reader's language; empty when it was not."""
        return exclusion_text(gpu.exclusion)


class SampleSerializer(serializers.ModelSerializer[NodeSample]):
    """How busy a node was at a moment; rates in bytes a second."""

    gpus = serializers.SerializerMethodField()

    class Meta:
        model = NodeSample
        fields = (
            "at",
            "cpu_percent",
            "memory_used_bytes",
            "disk_used_bytes",
            "network_receive_rate",
            "network_send_rate",
            "disk_read_rate",
            "disk_write_rate",
            "gpus",
        )

    @extend_schema_field(serializers.ListField(child=serializers.DictField()))
    def get_gpus(self, sample: NodeSample) -> list[dict[str, Any]]:
        """Each GPU's figures; processes name a workload only to those who may see it."""
        user = actor(self.context["request"])
        named = {
            process["workload"]
            for load in sample.gpus
            for process in load.get("processes", ())
            if "workload" in process
        }
        mine = Workload.objects.visible_to(user).filter(pk__in=named)
        seen = {str(pk) for pk in mine.values_list("pk", flat=True)} if named else set()
        return [
            {
                **load,
                "processes": [
                    {
                        name: value
                        for name, value in process.items()
                        if name != "workload" or value in seen
                    }
                    for process in load.get("processes", ())
                ],
            }
            for load in sample.gpus
        ]


class NodeSerializer(serializers.ModelSerializer[Node]):
    """A node and how it is now; its address is for operators."""

    gpus = GpuSerializer(many=True, read_only=True)
    load = serializers.SerializerMethodField()
    address = serializers.SerializerMethodField()
    facts = serializers.SerializerMethodField()

    class Meta:
        model = Node
        fields = (
            "id",
            "name",
            "state",
            "is_cordoned",
            "drain",
            "excluded_at",
            "note",
            "runner",
            "cpu_count",
            "memory_bytes",
            "disk_bytes",
            "facts",
            "heartbeat_at",
            "clock_skew_seconds",
            "gpus",
            "load",
            "address",
        )
        read_only_fields = fields

    @extend_schema_field(SampleSerializer(allow_null=True))
    def get_load(self, node: Node) -> dict[str, Any] | None:
        """The newest sample."""
        samples = getattr(node, "newest", None)  # a list brings them along
        if samples is None:
            samples = NodeSample.objects.filter(node=node).newest()
        sample = next(iter(samples), None)
        return dict(SampleSerializer(sample, context=self.context).data) if sample else None

    def get_address(self, node: Node) -> str:
        """Empty for everybody but operators."""
        return node.address if actor(self.context["request"]).is_staff else ""

    @extend_schema_field(serializers.DictField())
    def get_facts(self, node: Node) -> dict[str, Any]:
        """What it is made of; its paths and weak spots are for operators."""
        is_staff = actor(self.context["request"]).is_staff
        hidden = () if is_staff else HIDDEN
        facts = {name: value for name, value in node.facts.items() if name not in hidden}
        return {**facts, "trouble": start_trouble(node, to_operator=is_staff)}


class NodeChangeSerializer(serializers.Serializer[Any]):
    """What an operator may change of a node; `is_cordoned` false also ends a drain."""

    note = serializers.CharField(max_length=200, allow_blank=True, required=False)
    is_cordoned = serializers.BooleanField(required=False)


class DrainSerializer(serializers.Serializer[Any]):
    """What happens to what runs: it goes on to its end, or saves a checkpoint and moves."""

    mode = serializers.ChoiceField(choices=("wait", "stop"), default="wait")


class ReleaseSerializer(serializers.Serializer[Any]):
    """One GPU by its index or its UUID; without them all of the GPUs, and the node.

    An index may be that of a GPU which is gone and of another one that took its place: then it
    means the one that is there.
    """

    gpu = serializers.IntegerField(min_value=0, max_value=1000, required=False)
    uuid = serializers.CharField(max_length=80, required=False)


class NodeViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Node]):
    """The machines that run workloads."""

    serializer_class = NodeSerializer
    queryset = Node.objects.none()

    def get_queryset(self) -> QuerySet[Node]:
        """Everybody with an account sees them; operators change them."""
        return within_reach(
            Node.objects.prefetch_related(
                "gpus__leases", Prefetch("samples", NodeSample.objects.newest(), to_attr="newest")
            ),
            self.request,
        )

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
        parameters=[
            OpenApiParameter("span", enum=list(curves.SPANS), default="hour"),
            OpenApiParameter("of", enum=list(curves.CURVES), default="load"),
        ],
        responses=OpenApiTypes.OBJECT,
    )
    @action(detail=True, methods=["get"])
    def samples(self, request: Request, pk: str | None = None) -> Response:
        """The node's curves: what `of` says, over the last hour, day or month."""
        span, of = (request.query_params.get(name, "") for name in ("span", "of"))
        return Response(curves.curves(self.get_object(), span, of))

    @extend_schema(request=DrainSerializer, responses=NodeSerializer)
    @action(detail=True, methods=["post"])
    def drain(self, request: Request, pk: str | None = None) -> Response:
        """Empties it (operators): nothing new comes; it is drained when nothing runs any more."""
        form = DrainSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        mode = form.validated_data["mode"]
        node = services.node_drain(self.get_object().pk, mode=mode, by=actor(request))
        return Response(self.get_serializer(node).data)

    @extend_schema(request=ReleaseSerializer, responses=NodeSerializer)
    @action(detail=True, methods=["post"])
    def release(self, request: Request, pk: str | None = None) -> Response:
        """Lets what was taken out after errors work again, and go what is gone (operators)."""
        form = ReleaseSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        node = self.get_object()
        gpu: Gpu | None = None
        if "uuid" in form.validated_data:
            gpu = get_object_or_404(node.gpus, uuid=form.validated_data["uuid"])
        elif "gpu" in form.validated_data:
            gpus = node.gpus.filter(index=form.validated_data["gpu"])
            gpu = gpus.order_by("-is_present", F("gone_at").desc(nulls_last=True)).first()
            if gpu is None:
                raise Http404
        node = services.node_release(node.pk, by=actor(request), gpu_id=gpu.pk if gpu else None)
        return Response(self.get_serializer(node).data)

    def destroy(self, request: Request, pk: str | None = None) -> Response:
        """Removes it (operators); refused while it holds anything."""
        services.node_remove(self.get_object().pk, by=actor(request))
        return Response(status=204)
