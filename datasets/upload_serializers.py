"""The shapes in which the API takes files."""

from typing import Any

from rest_framework import serializers

from accounts.http import actor
from datasets import services
from datasets.models import Upload
from datasets.serializers import MappingSerializer


class VersionUploadSerializer(MappingSerializer):
    """Files to upload as a version, or rows. `upload` is what they make together."""

    file = serializers.ListField(
        child=serializers.FileField(allow_empty_file=True),
        required=False,
        default=list,
        help_text="Once or several times; several files become one version.",
    )
    path = serializers.ListField(
        child=serializers.CharField(max_length=250),
        required=False,
        default=list,
        help_text="Of each file in its folder, in the same order.",
    )
    uploads = serializers.ListField(
        child=serializers.UUIDField(),
        required=False,
        default=list,
        help_text="Instead of `file`: resumable uploads that are finished, see `uploads/`.",
    )
    text = serializers.CharField(
        required=False,
        default="",
        trim_whitespace=False,
        help_text="Instead of files: JSON lines, a JSON array or CSV.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Files and text as one upload."""
        held = services.uploads_finished(
            [str(one) for one in attrs["uploads"]], by=actor(self.context["request"])
        )
        files = [*held, *attrs["file"]]
        upload = services.given_as_one(files, paths=attrs["path"], text=attrs["text"])
        return {**attrs, "upload": upload}


class UploadSerializer(serializers.ModelSerializer[Upload]):
    """A file on its way."""

    received = serializers.IntegerField(source="arrived.received", read_only=True)
    mark = serializers.IntegerField(
        source="arrived.mark",
        read_only=True,
        help_text="CRC-32 of the first 64 KiB and then the last 64 KiB of what was received, by"
        " which a client knows the file again. It says nothing of what lies between: compare"
        " `modified`, too.",
    )

    class Meta:
        model = Upload
        fields = (
            "id",
            "project",
            "filename",
            "path",
            "size",
            "modified",
            "folder_files",
            "folder_size",
            "received",
            "mark",
            "expires_at",
            "created_at",
        )
        read_only_fields = fields


class DatasetUploadSerializer(VersionUploadSerializer):
    """A new dataset with the file of its first version."""

    name = serializers.CharField(
        max_length=200, required=False, allow_blank=True, help_text="The file's name by default."
    )
    remark = serializers.CharField(max_length=2000, required=False, allow_blank=True)
    is_public = serializers.BooleanField(required=False, default=False)
    project = serializers.UUIDField(
        required=False, allow_null=True, help_text="Your personal project by default."
    )
