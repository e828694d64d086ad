"""The operators' view of images. What changes, changes through the same services."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from accounts.http import actor
from common.admin import ThroughServices
from nodes import services
from nodes.models import Image


@admin.register(Image)
class ImageAdmin(ThroughServices):
    """The list of images that may run."""

    list_display = ("reference", "engine", "state", "is_enabled", "short_id", "added_by")
    list_filter = ("state", "engine", "is_enabled")
    search_fields = ("reference", "image_id")
    fields = ("reference", "engine", "state", "is_enabled", "image_id", "digest", "error")
    actions = ("enable", "disable", "fetch_again")

    def get_readonly_fields(self, request: HttpRequest, obj: Image | None = None) -> list[str]:
        """Only the name of a new one is typed."""
        return [name for name in self.fields if obj is not None or name != "reference"]

    def save_model(self, request: HttpRequest, obj: Image, form: Any, change: bool) -> None:
        """Through the services, as the pages do."""
        if not change:
            obj.pk = services.image_add(obj.reference, by=actor(request)).pk

    def delete_model(self, request: HttpRequest, obj: Image) -> None:
        """Through the services, as the pages do."""
        services.image_remove(obj.pk, by=actor(request))

    @admin.action(description=gettext_lazy("Let them run"))
    def enable(self, request: HttpRequest, rows: QuerySet[Image]) -> None:
        """Puts them on the list."""
        self.each(request, rows, services.image_switch, enabled=True)

    @admin.action(description=gettext_lazy("Let them run no more"))
    def disable(self, request: HttpRequest, rows: QuerySet[Image]) -> None:
        """Takes them off the list; what runs goes on."""
        self.each(request, rows, services.image_switch, enabled=False)

    @admin.action(description=gettext_lazy("Fetch again"))
    def fetch_again(self, request: HttpRequest, rows: QuerySet[Image]) -> None:
        """What failed or got stuck."""
        self.each(request, rows, services.image_retry)
