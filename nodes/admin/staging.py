"""Operators' view of the files whose digests are known."""

from django.contrib import admin

from common.admin import ReadOnly
from nodes.models import FileDigest


@admin.register(FileDigest)
class FileDigestAdmin(ReadOnly, admin.ModelAdmin):
    """What nodes without the shared directory compare their copies with."""

    list_display = ("path", "size", "sha256", "noted_at")
    search_fields = ("path", "sha256")
    ordering = ("path",)
