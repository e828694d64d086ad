"""What a project keeps, over REST."""

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.http import actor
from accounts.models import Project
from datasets import services
from datasets.models import DatasetVersion

SHOWN = 500


class RetentionRuleSerializer(serializers.Serializer[Any]):
    """A rule; null keeps."""

    keep_newest = serializers.IntegerField(allow_null=True, help_text="Versions of each dataset.")
    unused_days = serializers.IntegerField(
        allow_null=True, help_text="Older versions go when they were not used for so long."
    )


class DueVersionSerializer(serializers.ModelSerializer[DatasetVersion]):
    """A version that the rule lets go, unless somebody keeps it or begins to need it."""

    name = serializers.CharField(source="__str__", read_only=True)

    class Meta:
        model = DatasetVersion
        fields = ("id", "name", "dataset", "stored_bytes", "created_at", "goes_at")
        read_only_fields = fields


class RetentionSerializer(RetentionRuleSerializer):
    """What counts, and what would go by it."""

    is_own = serializers.BooleanField(help_text="False: the site's default counts.")
    due_count = serializers.IntegerField()
    due_bytes = serializers.IntegerField()
    due = DueVersionSerializer(many=True, help_text=f"The oldest {SHOWN}.")


class RetentionView(APIView):
    """How long a project keeps versions that nothing needs."""

    @extend_schema(operation_id="projects_retention_retrieve", responses=RetentionSerializer)
    def get(self, request: Request, project_id: str) -> Response:
        """The rule, and what would go by it; nothing goes here."""
        return self._answer(self._project(request, project_id))

    @extend_schema(
        operation_id="projects_retention_update",
        request=RetentionRuleSerializer,
        responses=RetentionSerializer,
    )
    def put(self, request: Request, project_id: str) -> Response:
        """Gives the project a rule of its own; for managers."""
        project = self._project(request, project_id, edit=True)
        data = RetentionRuleSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        services.retention_set(project, by=actor(request), **data.validated_data)
        return self._answer(project)

    @extend_schema(operation_id="projects_retention_destroy", responses={204: None})
    def delete(self, request: Request, project_id: str) -> Response:
        """Takes the project's own rule away; for managers."""
        services.retention_reset(self._project(request, project_id, edit=True), by=actor(request))
        return Response(status=204)

    def _project(self, request: Request, project_id: str, *, edit: bool = False) -> Project:
        projects = Project.objects
        user = actor(request)
        allowed = projects.editable_by(user) if edit else projects.visible_to(user)
        return get_object_or_404(allowed, pk=project_id)

    def _answer(self, project: Project) -> Response:
        rule, due = services.retention_of(project), services.retention_due(project)
        shown = {
            "keep_newest": rule.keep_newest,
            "unused_days": rule.unused_days,
            "is_own": rule.is_own,
            "due_count": len(due),
            "due_bytes": sum(version.stored_bytes for version in due),
            "due": due[:SHOWN],
        }
        return Response(RetentionSerializer(shown).data)
