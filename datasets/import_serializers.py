"""The shapes in which the API takes and shows imports."""

from rest_framework import serializers

from datasets.models import Import
from datasets.serializers import MappingSerializer


class ImportCreateSerializer(MappingSerializer):
    """Where data is, and what becomes of it. `shape`, `columns` and `tags` may be left out."""

    kind = serializers.ChoiceField(choices=Import.Kind.choices)
    repository = serializers.CharField(
        required=False, help_text="Of a hub: owner/name.", max_length=300
    )
    revision = serializers.CharField(
        required=False, allow_blank=True, help_text="Of a hub.", max_length=100
    )
    path = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=1000,
        help_text="s3://bucket/prefix (oss://, cos://, obs://, tos://), or the path below a shared"
        " directory.",
    )
    endpoint = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=300,
        help_text="Of a store; Amazon's else. Needed with oss://, cos://, obs:// and tos://.",
    )
    region = serializers.CharField(required=False, allow_blank=True, max_length=60)
    directory = serializers.CharField(
        required=False, allow_blank=True, max_length=1000, help_text="The shared directory."
    )
    files = serializers.ListField(
        child=serializers.CharField(max_length=300),
        required=False,
        help_text="Patterns of names, such as data/train-*.parquet.",
    )
    choices = serializers.ListField(
        child=serializers.CharField(max_length=300),
        required=False,
        help_text="Names of offers, where they are known before.",
    )
    token = serializers.CharField(
        required=False, allow_blank=True, write_only=True, max_length=500, help_text="Of a hub."
    )
    access_key = serializers.CharField(
        required=False, allow_blank=True, write_only=True, max_length=500
    )
    secret_key = serializers.CharField(
        required=False, allow_blank=True, write_only=True, max_length=500
    )
    dataset = serializers.UUIDField(
        required=False, allow_null=True, help_text="Gets a further version; else a new dataset."
    )
    name = serializers.CharField(required=False, allow_blank=True, max_length=200)
    project = serializers.UUIDField(
        required=False, allow_null=True, help_text="Your personal project by default."
    )


class ImportChoiceSerializer(serializers.Serializer[object]):
    """Which offers to fetch."""

    choices = serializers.ListField(child=serializers.CharField(max_length=300), allow_empty=False)


class ImportResumeSerializer(serializers.Serializer[object]):
    """The secrets of the import, which were forgotten when it failed."""

    token = serializers.CharField(default="", allow_blank=True, max_length=500)
    access_key = serializers.CharField(default="", allow_blank=True, max_length=500)
    secret_key = serializers.CharField(default="", allow_blank=True, max_length=500)


class ImportSerializer(serializers.ModelSerializer[Import]):
    """An import: where from, how far, what came of it. Keys and tokens are never shown."""

    project_name = serializers.CharField(source="project.name", read_only=True)
    created_by = serializers.CharField(source="created_by.username", read_only=True, default=None)
    can_resume = serializers.BooleanField(read_only=True)

    class Meta:
        model = Import
        fields = (
            "id",
            "kind",
            "reference",
            "dataset",
            "name",
            "project",
            "project_name",
            "state",
            "progress",
            "offers",
            "revision",
            "problem",
            "can_resume",
            "needs_secret",
            "version",
            "created_by",
            "created_at",
            "ended_at",
        )
        read_only_fields = fields
