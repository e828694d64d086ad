"""Alerts, their rules and the places where they are told, over REST."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.http import actor
from accounts.permissions import IsOperatorWithScope, within_reach
from nodes import services
from nodes.models import Alert, AlertChannel, AlertDelivery, AlertRule, Node
from nodes.services.rules import BOUNDS
from nodes.services.sentences import alert_text


class AlertSerializer(serializers.ModelSerializer[Alert]):
    """One trouble of one node, from its beginning to its end."""

    node = serializers.SlugRelatedField[Node](slug_field="name", read_only=True)
    gpu = serializers.IntegerField(source="gpu.index", read_only=True, allow_null=True)
    text = serializers.SerializerMethodField()

    class Meta:
        model = Alert
        fields = (
            "id",
            "node",
            "gpu",
            "kind",
            "state",
            "text",
            "value",
            "threshold",
            "since",
            "opened_at",
            "closed_at",
        )
        read_only_fields = fields

    def get_text(self, alert: Alert) -> str:
        """One sentence in the reader's language."""
        return alert_text(alert, to_operator=actor(self.context["request"]).is_staff)


class AlertViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Alert]
):
    """What is, and what was, wrong with nodes."""

    serializer_class = AlertSerializer
    filterset_fields = ("state", "kind", "node__name")
    queryset = Alert.objects.none()

    def get_queryset(self) -> QuerySet[Alert]:
        """All that were opened, the newest first."""
        return within_reach(Alert.objects.select_related("node", "gpu"), self.request)


class AlertRuleSerializer(serializers.ModelSerializer[AlertRule]):
    """When trouble counts as such."""

    unit = serializers.SerializerMethodField()

    class Meta:
        model = AlertRule
        fields = ("kind", "is_enabled", "threshold", "clear", "hold_seconds", "unit")
        read_only_fields = ("kind", "unit")

    def get_unit(self, rule: AlertRule) -> str:
        """Of threshold and clear; empty for counts."""
        return BOUNDS[rule.kind].unit


class AlertRuleViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[AlertRule]
):
    """The rules; operators change them."""

    serializer_class = AlertRuleSerializer
    lookup_field = "kind"
    lookup_value_regex = "[a-z]+"
    pagination_class = None
    queryset = AlertRule.objects.none()

    def get_queryset(self) -> QuerySet[AlertRule]:
        """One for each kind of trouble."""
        return within_reach(AlertRule.objects.all(), self.request)

    @extend_schema(request=AlertRuleSerializer(partial=True), responses=AlertRuleSerializer)
    def partial_update(self, request: Request, kind: str | None = None) -> Response:
        """Changes a rule (operators); what is left out stays."""
        rule = self.get_object()
        form = self.get_serializer(rule, data=request.data, partial=True)
        form.is_valid(raise_exception=True)
        names = ("is_enabled", "threshold", "clear", "hold_seconds")
        values = {name: form.validated_data.get(name, getattr(rule, name)) for name in names}
        rule = services.rule_set(rule.kind, by=actor(request), **values)
        return Response(self.get_serializer(rule).data)


class AlertDeliverySerializer(serializers.ModelSerializer[AlertDelivery]):
    """One telling, and whether it arrived."""

    class Meta:
        model = AlertDelivery
        fields = ("id", "alert", "happening", "state", "attempts", "next_at", "sent_at", "error")


class AlertChannelSerializer(serializers.ModelSerializer[AlertChannel]):
    """A place where alerts are told; the secret of a webhook is in the answer to its making."""

    class Meta:
        model = AlertChannel
        fields: tuple[str, ...] = (
            "id",
            "kind",
            "target",
            "allows_private",
            "is_enabled",
            "created_at",
        )
        read_only_fields = ("id", "created_at")
        validators: list[Any] = []  # the service refuses in words


class AlertChannelMadeSerializer(AlertChannelSerializer):
    """With the secret, this once."""

    secret = serializers.CharField()

    class Meta(AlertChannelSerializer.Meta):
        fields = (*AlertChannelSerializer.Meta.fields, "secret")


class AlertChannelChangeSerializer(serializers.Serializer[Any]):
    """What may be changed of it."""

    is_enabled = serializers.BooleanField()


class AlertChannelViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[AlertChannel]
):
    """Where alerts are told besides the pages; for operators."""

    serializer_class = AlertChannelSerializer
    permission_classes = (IsOperatorWithScope,)
    queryset = AlertChannel.objects.none()

    def get_queryset(self) -> QuerySet[AlertChannel]:
        """All of them."""
        return within_reach(AlertChannel.objects.all(), self.request)

    @extend_schema(request=AlertChannelSerializer, responses={201: AlertChannelMadeSerializer})
    def create(self, request: Request) -> Response:
        """A further one; with the secret that signs, which is not kept in the clear."""
        form = AlertChannelSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        data = {name: form.validated_data[name] for name in ("kind", "target")}
        private = form.validated_data.get("allows_private", False)
        channel, secret = services.channel_create(by=actor(request), allows_private=private, **data)
        made = {**AlertChannelSerializer(channel).data, "secret": secret}
        return Response(made, status=201, headers={"Cache-Control": "no-store"})

    @extend_schema(request=AlertChannelChangeSerializer, responses=AlertChannelSerializer)
    def partial_update(self, request: Request, pk: str | None = None) -> Response:
        """Tells it no more, or again."""
        form = AlertChannelChangeSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        enabled = form.validated_data["is_enabled"]
        by = actor(request)
        channel = services.channel_switch(self.get_object().pk, is_enabled=enabled, by=by)
        return Response(self.get_serializer(channel).data)

    def destroy(self, request: Request, pk: str | None = None) -> Response:
        """Forgets it."""
        services.channel_delete(self.get_object().pk, by=actor(request))
        return Response(status=204)

    @extend_schema(request=None, responses={201: AlertDeliverySerializer})
    @action(detail=True, methods=["post"])
    def test(self, request: Request, pk: str | None = None) -> Response:
        """Sends something that looks like an alert."""
        delivery = services.channel_test(self.get_object().pk, by=actor(request))
        return Response(AlertDeliverySerializer(delivery).data, status=201)

    @extend_schema(responses=AlertDeliverySerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=None)
    def deliveries(self, request: Request, pk: str | None = None) -> Response:
        """The last fifty."""
        rows = self.get_object().deliveries.all()[:50]
        return Response(AlertDeliverySerializer(rows, many=True).data)
