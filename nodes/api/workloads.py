"""Workloads over REST."""

from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.http import actor
from common.errors import DomainError
from common.phrases import gettext as _
from common.texts import whole
from nodes import services
from nodes.models import Node, Workload
from nodes.pieces import log_piece

ORDINARY_PRIORITY = 50


class WorkloadSerializer(serializers.ModelSerializer[Workload]):
    """A process to run: what it asks for, where it stands, how it ended."""

    node = serializers.SlugRelatedField[Node](slug_field="name", read_only=True)
    place = serializers.SerializerMethodField()
    waits_because = serializers.SerializerMethodField()
    expected_start = serializers.SerializerMethodField()

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
            "memory_bound_bytes",
            "wall_seconds",
            "priority",
            "state",
            "outcome",
            "reason",
            "place",
            "waits_because",
            "expected_start",
            "node",
            "exit_code",
            "queued_at",
            "placed_at",
            "started_at",
            "exited_at",
            "ended_at",
        )
        read_only_fields = fields

    def get_place(self, workload: Workload) -> int:
        """The place in the queue from 1; 0 when it does not wait."""
        places: dict[Any, int] | None = self.context.get("places")
        if places is None:
            places = services.queue_places([workload])
        return places.get(workload.pk, 0)

    def get_waits_because(self, workload: Workload) -> str:
        """Why it waits; empty when it does not."""
        return workload.reason if workload.state == Workload.State.WAITING else ""

    def get_expected_start(self, workload: Workload) -> datetime | None:
        """About when it starts; null when it does not wait, or nobody can say."""
        if workload.state != Workload.State.WAITING:
            return None
        starts = self.context.get("starts")
        start = (services.starts_told() if starts is None else starts).get(workload.pk)
        return start.at if start else None


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

    def get_serializer(self, *args: Any, **kwargs: Any) -> Any:
        """Of a list all places are asked for at once."""
        if kwargs.get("many"):
            places = services.queue_places(args[0])
            kwargs["context"] = {
                **self.get_serializer_context(),
                "places": places,
                "starts": services.starts_told() if places else {},
            }
        return super().get_serializer(*args, **kwargs)

    def get_queryset(self) -> QuerySet[Workload]:
        """Visible ones; those that the user may change for actions."""
        user = actor(self.request)
        rows = Workload.objects.select_related("node").order_by("-queued_at", "-id")
        if self.action in {"stop", "priority"}:
            return rows.editable_by(user)
        return rows.visible_to(user).defer("files", "inputs", "env", "end_facts", "waits_for")

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
                numbers[name] = whole(text, 18)
                if numbers[name] is None:
                    raise DomainError(_("An offset is a number of bytes."), field=name)
        workload = self.get_object()
        return Response(log_piece(workload, before=numbers["before"], offset=numbers["offset"]))
