"""Deployments and conversations over REST."""

from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.http import actor, project_of
from accounts.models import Project, Role, User
from accounts.permissions import within_reach
from common.api import number_asked
from common.errors import DomainError
from inference import services
from inference.chat import answer_now
from inference.models import Conversation, Deployment, Message
from registry.models import ModelVersion

LOG_BYTES = 64 * 1024
LOG_BYTES_MAX = 1024 * 1024


class AnswerFailed(DomainError):
    """The question was saved, but the model gave no answer."""

    http_status = 502
    code = "answer_failed"


class DeploymentSerializer(serializers.ModelSerializer[Deployment]):
    """A deployment as its project sees it; where it runs is nobody's business."""

    version_name = serializers.CharField(source="version", read_only=True)
    created_by = serializers.SlugRelatedField[User](slug_field="username", read_only=True)
    unloads_at = serializers.DateTimeField(read_only=True, allow_null=True)

    class Meta:
        model = Deployment
        fields = (
            "id",
            "project",
            "name",
            "version",
            "version_name",
            "state",
            "reason",
            "idle_seconds",
            "last_used_at",
            "unloads_at",
            "ready_at",
            "ended_at",
            "created_by",
            "created_at",
        )
        read_only_fields = fields


class NewDeploymentSerializer(serializers.Serializer[Any]):
    """What a new deployment is made of."""

    version = serializers.PrimaryKeyRelatedField(queryset=ModelVersion.objects.none())
    project = serializers.PrimaryKeyRelatedField(
        queryset=Project.objects.none(),
        required=False,
        help_text=_("The project that is worked in otherwise: the personal one, for a key."),
    )
    idle_seconds = serializers.IntegerField(required=False, min_value=1)

    def get_fields(self) -> dict[str, Any]:
        """Only what the user may choose."""
        fields: dict[str, Any] = super().get_fields()
        request = self.context.get("request")
        if request is not None and isinstance(request.user, User):
            fields["version"].queryset = ModelVersion.objects.visible_to(request.user)
            fields["project"].queryset = Project.objects.with_role(request.user, Role.DEVELOPER)
        return fields


class LogSerializer(serializers.Serializer[Any]):
    """A part of a log. `next` is the offset to go on from."""

    offset = serializers.IntegerField()
    next = serializers.IntegerField()
    text = serializers.CharField()


class DeploymentViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Deployment]
):
    """Model versions in service."""

    serializer_class = DeploymentSerializer
    queryset = Deployment.objects.none()
    filterset_fields = ("project", "state", "version", "name")

    def get_queryset(self) -> QuerySet[Deployment]:
        """What the user may see, or change."""
        rows = Deployment.objects.select_related("version__model", "created_by")
        return within_reach(rows, self.request)

    @extend_schema(request=NewDeploymentSerializer, responses={201: DeploymentSerializer})
    def create(self, request: Request) -> Response:
        """Puts a version into service."""
        form = NewDeploymentSerializer(data=request.data, context={"request": request})
        form.is_valid(raise_exception=True)
        data = dict(form.validated_data)
        project = data.pop("project", None) or project_of(request)
        deployment = services.deployment_create(project=project, created_by=actor(request), **data)
        return self._row(deployment, 201)

    @extend_schema(request=None, responses=DeploymentSerializer)
    @action(detail=True, methods=["post"])
    def stop(self, request: Request, pk: str) -> Response:
        """Ends the service. Stopping twice is no error."""
        return self._row(services.deployment_stop(self.get_object().pk, by=actor(request)))

    @extend_schema(request=None, responses=DeploymentSerializer)
    @action(detail=True, methods=["post"])
    def restart(self, request: Request, pk: str) -> Response:
        """Deploys again: an ended one from nothing, an active one with a fresh process."""
        return self._row(services.deployment_restart(self.get_object().pk, by=actor(request)))

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Removes an ended deployment."""
        services.deployment_delete(self.get_object().pk, by=actor(request))
        return Response(status=204)

    @extend_schema(
        parameters=[
            OpenApiParameter("offset", OpenApiTypes.INT, description="From this byte on."),
            OpenApiParameter("limit", OpenApiTypes.INT, description="At most 1048576 bytes."),
        ],
        responses=LogSerializer,
    )
    @action(detail=True, methods=["get"])
    def log(self, request: Request, pk: str) -> Response:
        """The newest replica's log from a byte on; without `offset` its end."""
        replica = self.get_object().replica
        limit = min(max(number_asked(request, "limit", LOG_BYTES), 1), LOG_BYTES_MAX)
        offset, raw = 0, b""
        if replica is not None and replica.workload.log_path.exists():
            with replica.workload.log_path.open("rb") as log:
                size = log.seek(0, 2)
                offset = min(number_asked(request, "offset", max(size - limit, 0)), size)
                log.seek(offset)
                raw = log.read(limit)
        text = raw.decode("utf-8", errors="replace")
        return Response({"offset": offset, "next": offset + len(raw), "text": text})

    def _row(self, deployment: Deployment, status: int = 200) -> Response:
        fresh = Deployment.objects.select_related("version__model", "created_by")
        return Response(self.get_serializer(fresh.get(pk=deployment.pk)).data, status=status)


class MessageSerializer(serializers.ModelSerializer[Message]):
    """One turn. `usage` has tokens, seconds, `first_ms` and `tokens_per_second`."""

    class Meta:
        model = Message
        fields = (
            "id",
            "role",
            "content",
            "state",
            "model_name",
            "usage",
            "error",
            "created_at",
        )
        read_only_fields = fields


class QuestionSerializer(serializers.Serializer[Any]):
    """A question. `edit` puts it in the place of the last one; `again` repeats the last one."""

    text = serializers.CharField(required=False, max_length=200_000, trim_whitespace=True)
    edit = serializers.BooleanField(default=False)
    again = serializers.BooleanField(default=False)


class ConversationSerializer(serializers.ModelSerializer[Conversation]):
    """A conversation and its settings."""

    sampling = serializers.DictField(
        required=False, help_text=_("temperature, top_p, max_tokens, seed")
    )
    deployment_state = serializers.CharField(
        source="deployment.state", read_only=True, allow_null=True, default=None
    )

    class Meta:
        model = Conversation
        fields = (
            "id",
            "project",
            "title",
            "deployment",
            "deployment_state",
            "system_prompt",
            "sampling",
            "created_at",
            "updated_at",
        )
        read_only_fields = ("id", "created_at", "updated_at")

    def get_fields(self) -> dict[str, Any]:
        """Only what the user may choose."""
        fields: dict[str, Any] = super().get_fields()
        fields["project"].required = False
        fields["project"].read_only = self.instance is not None
        request = self.context.get("request")
        if request is not None and isinstance(request.user, User):
            fields["deployment"].queryset = Deployment.objects.editable_by(request.user)
            fields["project"].queryset = Project.objects.visible_to(request.user)
        return fields


class ConversationViewSet(
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    viewsets.GenericViewSet[Conversation],
):
    """One's own conversations with deployed models."""

    serializer_class = ConversationSerializer
    queryset = Conversation.objects.none()
    filterset_fields = ("project", "deployment")

    def get_queryset(self) -> QuerySet[Conversation]:
        """The user's own."""
        return Conversation.objects.visible_to(actor(self.request)).select_related("deployment")

    def create(self, request: Request) -> Response:
        """Begins a conversation."""
        form = self.get_serializer(data=request.data)
        form.is_valid(raise_exception=True)
        data = dict(form.validated_data)
        project = data.pop("project", None) or project_of(request)
        row = services.conversation_create(project=project, created_by=actor(request), **data)
        return Response(self.get_serializer(row).data, status=201)

    def partial_update(self, request: Request, pk: str) -> Response:
        """Changes name, model, system prompt or sampling."""
        row = self.get_object()
        form = self.get_serializer(row, data=request.data, partial=True)
        form.is_valid(raise_exception=True)
        changed = services.conversation_update(row.pk, by=actor(request), **form.validated_data)
        return Response(self.get_serializer(changed).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Deletes the conversation with its messages."""
        services.conversation_delete(self.get_object().pk, by=actor(request))
        return Response(status=204)

    @extend_schema(methods=["GET"], responses=MessageSerializer(many=True), filters=False)
    @extend_schema(methods=["POST"], request=QuestionSerializer, responses={201: MessageSerializer})
    @action(detail=True, methods=["get", "post"], pagination_class=None)
    def messages(self, request: Request, pk: str) -> Response:
        """GET: all messages. POST: asks a question and gives the whole answer."""
        conversation = self.get_object()
        if request.method == "GET":
            rows = MessageSerializer(conversation.messages.all(), many=True)
            return Response(rows.data)
        form = QuestionSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        data = form.validated_data
        text = None if data["again"] else data.get("text", "")
        turn = services.turn_begin(conversation.pk, by=actor(request), text=text, edit=data["edit"])
        message = answer_now(turn)
        if message is None or message.state == Message.State.FAILED:
            raise AnswerFailed(message.error if message else str(_("The answer was deleted.")))
        return Response(MessageSerializer(message).data, status=201)
