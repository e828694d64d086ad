"""What the operators' views of every app share."""

from collections.abc import Callable, Iterable
from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from common.errors import DomainError
from common.phrases import gettext as _


class ReadOnly:
    """Mixed in: rows that the platform writes and people look at."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False


class RowByRow:
    """Mixed in: what a service does to each of the chosen rows."""

    def each(
        self, request: HttpRequest, rows: Iterable[Any], act: Callable[..., object], **given: Any
    ) -> None:
        """Has `act` take the key of each row. Tells which ones it refused, and how many it did."""
        done = 0
        for row in rows:
            try:
                act(row.pk, by=request.user, **given)
            except DomainError as refused:
                messages.error(request, f"{row}: {refused.message}")
            else:
                done += 1
        if done:
            messages.success(request, _("Done: %(count)s") % {"count": done})


class ThroughServices(RowByRow, admin.ModelAdmin):
    """Nothing is deleted in bulk; a refusal is told and leaves everything as it was."""

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """The class's own actions without the deletion of many."""
        found: dict[str, Any] = super().get_actions(request)
        found.pop("delete_selected", None)
        return found

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The form; back to it when the service refuses."""
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except DomainError as refused:
            messages.error(request, refused.message)
            return redirect(request.path)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Deletes after the question; what is in use stays and says why."""
        try:
            return super().delete_view(request, object_id, extra_context)
        except DomainError as refused:
            messages.error(request, refused.message)
            meta = self.model._meta
            return redirect(
                reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[object_id])
            )
