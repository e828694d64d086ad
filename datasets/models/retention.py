"""How long versions are kept, and what is remembered of those that are gone."""

import uuid

from django.core.validators import MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Project, ProjectOwnedQuerySet


class RetentionRuleQuerySet(ProjectOwnedQuerySet["RetentionRule"]):
    """Rules of projects: members read them, managers change them."""


class RetentionRule(models.Model):
    """When versions of a project go that nothing needs. Without a rule the site's default counts.

    With neither limit everything is kept.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.OneToOneField(
        Project, on_delete=models.CASCADE, related_name="+", verbose_name=_("project")
    )
    keep_newest = models.PositiveIntegerField(
        _("keep the newest versions of each dataset"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
    )
    unused_days = models.PositiveIntegerField(
        _("and older ones until they were not used for days"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
    )
    changed_at = models.DateTimeField(_("changed"), auto_now=True)

    objects = RetentionRuleQuerySet.as_manager()

    class Meta:
        verbose_name = _("rule of retention")
        verbose_name_plural = _("rules of retention")

    def __str__(self) -> str:
        return str(self.project)


class RemovedVersionQuerySet(ProjectOwnedQuerySet["RemovedVersion"]):
    """Members of the project know what was there."""


class RemovedVersion(models.Model):
    """What is left of a version that was deleted: its place in the lineage, no contents.

    Keys of other rows are kept as plain ids, as they stood: some of these may be gone as well.
    """

    id = models.UUIDField(primary_key=True, editable=False)  # the version's own
    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, related_name="+", verbose_name=_("project")
    )
    name = models.CharField(_("version"), max_length=120)
    parent_id = models.UUIDField(_("id it was made from"), null=True)
    run_id = models.UUIDField(_("recipe run's id"), null=True)  # that made it
    children = models.JSONField(  # ids of versions made from it without a run
        _("made from it"), default=list
    )
    runs = models.JSONField(_("runs"), default=list)  # ids of runs that read it
    created_at = models.DateTimeField(_("created"))
    removed_at = models.DateTimeField(_("deleted"), auto_now_add=True)

    objects = RemovedVersionQuerySet.as_manager()

    class Meta:
        ordering = ("-removed_at",)
        verbose_name = _("deleted version")
        verbose_name_plural = _("deleted versions")

    def __str__(self) -> str:
        return self.name
