"""With whom a dataset is shared beyond its project: to be read and used, never to be changed."""

import uuid
from typing import Self

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Membership, Project, Role, User


class DatasetShareQuerySet(models.QuerySet["DatasetShare"]):
    """Shares by who may see them and whom they let in."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Of datasets that the user may change."""
        rows = self.filter(dataset__project__in=Project.objects.with_role(user, Role.RESEARCHER))
        is_operator = user.is_authenticated and user.is_staff
        return rows if is_operator else rows.filter(dataset__is_public=False)

    def editable_by(self, user: User | AnonymousUser) -> Self:
        """The same."""
        return self.visible_to(user)

    def received_by(self, user: User | AnonymousUser) -> Self:
        """Those that let the user in: by name, or as a member of a project."""
        if not user.is_authenticated or not user.is_active:
            return self.none()
        own = Membership.objects.filter(user=user).values("project_id")
        return self.filter(
            models.Q(user=user) | models.Q(project_id__in=own), dataset__project__deleted_at=None
        )


class DatasetShare(models.Model):
    """One person, or the members of one project, may read a dataset and use it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    dataset = models.ForeignKey(
        "Dataset", on_delete=models.CASCADE, related_name="shares", verbose_name=_("dataset")
    )
    user = models.ForeignKey(
        User,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("person"),
    )
    project = models.ForeignKey(
        Project,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("project"),
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("created by"),
    )
    created_at = models.DateTimeField(_("since"), auto_now_add=True)

    objects = DatasetShareQuerySet.as_manager()

    class Meta:
        ordering = ("created_at",)
        constraints = (
            models.CheckConstraint(
                condition=models.Q(user=None) ^ models.Q(project=None),
                name="a_share_has_one_receiver",
            ),
            models.UniqueConstraint(fields=("dataset", "user"), name="one_share_of_a_user"),
            models.UniqueConstraint(fields=("dataset", "project"), name="one_share_of_a_project"),
        )
        verbose_name = _("share of a dataset")
        verbose_name_plural = _("shares of datasets")

    def __str__(self) -> str:
        return f"{self.dataset} → {self.receiver}"

    @property
    def receiver(self) -> str:
        """The name of the person or the project."""
        return self.user.username if self.user else str(self.project)
