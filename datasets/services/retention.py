"""Rules by which versions go that nothing needs; whoever may lose one is told before.

A version stays when it is pinned, among the newest, used lately or needed: by a job, a model, an
evaluation, a saved recipe or a run on its way. What stays also needs all that it was made from, in
whatever project that is, so that it can be made again.
"""

import logging
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Max, Q
from django.utils import timezone

from accounts.models import Project, Role, User
from accounts.services import event_record, role_require
from common.errors import Conflict, DomainError
from common.phrases import gettext as _
from datasets.models import MADE, DatasetVersion, Recipe, RecipeRun, RetentionRule, Revision
from datasets.recipes.kinds import versions_named
from datasets.services.changes import version_remove
from datasets.signals import versions_needed

NOTICE = timedelta(days=7)  # from the notice to the end
AT_ONCE = 100  # versions that one sweep removes
LIMIT = 100_000

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rule:
    """What counts in a project; without limits everything is kept."""

    keep_newest: int | None
    unused_days: int | None
    is_own: bool

    @property
    def keeps_all(self) -> bool:
        """Whether nothing ever goes by itself."""
        return self.keep_newest is None and self.unused_days is None


def retention_of(project: Project) -> Rule:
    """The project's own rule, or the site's."""
    own = RetentionRule.objects.filter(project=project).first()
    if own is not None:
        return Rule(own.keep_newest, own.unused_days, True)
    return Rule(settings.RETENTION_KEEP_NEWEST, settings.RETENTION_UNUSED_DAYS, False)


@transaction.atomic
def retention_set(
    project: Project, *, by: User, keep_newest: int | None, unused_days: int | None
) -> Rule:
    """Gives the project a rule of its own; a manager's decision. Nothing goes before `NOTICE`."""
    role_require(by, project, Role.MANAGER)
    for field, value in (("keep_newest", keep_newest), ("unused_days", unused_days)):
        if value is not None and not 1 <= value <= LIMIT:
            raise DomainError(
                _("Give a number from 1 to %(most)s, or leave it empty.") % {"most": LIMIT},
                field=field,
            )
    RetentionRule.objects.update_or_create(
        project=project, defaults={"keep_newest": keep_newest, "unused_days": unused_days}
    )
    event_record(
        project,
        project=project,
        actor=by,
        verb="retention_set",
        data={"keep_newest": keep_newest, "unused_days": unused_days},
    )
    return retention_of(project)


@transaction.atomic
def retention_reset(project: Project, *, by: User) -> Rule:
    """Takes the project's own rule away: the site's counts."""
    role_require(by, project, Role.MANAGER)
    if RetentionRule.objects.filter(project=project).delete()[0]:
        event_record(project, project=project, actor=by, verb="retention_reset")
    return retention_of(project)


@transaction.atomic
def version_keep(version_id: uuid.UUID, *, by: User, kept: bool) -> DatasetVersion:
    """Pins a version, so that no rule removes it, or takes the pin out."""
    version = (
        DatasetVersion.objects.editable_by(by)
        .select_for_update(of=("self",))
        .select_related("dataset__project")
        .get(pk=version_id)
    )
    if version.is_kept != kept:
        version.is_kept = kept
        version.goes_at = None
        version.save(update_fields=["is_kept", "goes_at"])
        event_record(
            version.dataset,
            project=version.dataset.project,
            actor=by,
            verb="version_kept" if kept else "version_released",
            data={"version": f"v{version.number}"},
        )
    return version


def retention_due(project: Project, *, now: datetime | None = None) -> list[DatasetVersion]:
    """Versions that the project's rule lets go, oldest first."""
    rule = retention_of(project)
    if rule.keeps_all:
        return []
    now = now or timezone.now()
    newest = rule.keep_newest or 1
    until = now - timedelta(days=rule.unused_days or 0)
    fields = ("statistics", "overlaps", "report", "lineage", "files", "file_columns")
    versions = list(
        DatasetVersion.objects.filter(dataset__project=project)
        .select_related("dataset")
        .defer(*fields)
        .order_by("dataset_id", "-number")
    )
    runs = RecipeRun.objects.filter(source__dataset__project=project).order_by()
    read_at = dict(runs.values_list("source").annotate(Max("created_at")))
    places: dict[uuid.UUID, int] = {}
    staying: set[uuid.UUID] = _needed(project)
    for version in versions:
        places[version.dataset_id] = places.get(version.dataset_id, 0) + 1
        used_at = max(version.created_at, read_at.get(version.pk, version.created_at))
        if (
            version.is_kept
            or version.state == DatasetVersion.State.CHECKING
            or places[version.dataset_id] <= newest
            or (rule.unused_days is not None and used_at > until)
        ):
            staying.add(version.pk)
    staying = _with_sources(staying, project)
    going = [version for version in versions if version.pk not in staying]
    return sorted(going, key=lambda version: (version.created_at, version.number))


def _needed(project: Project) -> set[uuid.UUID]:
    """What others need, wherever they are."""
    answers: list[tuple[Any, Any]] = versions_needed.send(DatasetVersion, project=project)
    found: set[uuid.UUID | None] = {one for _receiver, ids in answers for one in ids or ()}
    for steps in Recipe.objects.values_list("steps", flat=True).iterator():
        found.update(map(uuid.UUID, versions_named(steps)))
    runs = RecipeRun.objects.active()
    found |= set(runs.values_list("source_id", flat=True))
    found |= set(runs.values_list("inputs", flat=True))
    # Drafts and reviews go with their version.
    open_ones = Revision.objects.exclude(state=Revision.State.SAVED)
    found |= set(open_ones.values_list("version_id", flat=True))
    elsewhere = DatasetVersion.objects.exclude(dataset__project=project)
    found |= set(
        elsewhere.filter(MADE, parent__dataset__project=project).values_list("parent", flat=True)
    )
    found |= set(
        RecipeRun.inputs.through.objects.filter(
            datasetversion__dataset__project=project, reciperun__outputs__in=elsewhere
        ).values_list("datasetversion_id", flat=True)
    )
    return {one for one in found if one is not None}


def _with_sources(versions: Iterable[uuid.UUID], project: Project) -> set[uuid.UUID]:
    """These, and in the project all that they were made from."""
    own = DatasetVersion.objects.filter(dataset__project=project)
    sources: dict[uuid.UUID, set[uuid.UUID]] = {}
    made = own.filter(MADE).exclude(parent=None).values_list("pk", "parent_id")
    read = own.exclude(run__inputs=None).values_list("pk", "run__inputs")
    for version, source in (*made, *read):
        sources.setdefault(version, set()).add(source)
    found, border = set(versions), list(versions)
    while border:
        fresh = sources.get(border.pop(), set()) - found
        found |= fresh
        border += fresh
    return found


def retention_sweep(*, now: datetime | None = None) -> int:
    """Gives notice, takes it back where something is needed again, and removes what had it.

    How many versions went. Each goes in a transaction of its own: a killed sweep goes on next time.
    """
    now = now or timezone.now()
    ruled = Q(pk__in=RetentionRule.objects.values("project"))
    by_default = settings.RETENTION_KEEP_NEWEST or settings.RETENTION_UNUSED_DAYS
    projects = Project.objects.filter(deleted_at=None)
    left, removed = AT_ONCE, 0
    ended = DatasetVersion.objects.exclude(goes_at=None)
    if not by_default:
        ended.exclude(dataset__project__in=projects.filter(ruled)).update(goes_at=None)
        projects = projects.filter(ruled)
    for project in projects:
        due = retention_due(project, now=now)
        ended.filter(dataset__project=project).exclude(pk__in=[one.pk for one in due]).update(
            goes_at=None
        )
        _notice([version for version in due if version.goes_at is None], now)
        for version in due:
            if left and version.goes_at is not None and version.goes_at <= now:
                left -= 1
                removed += _removed(version.pk)
    return removed


def _notice(versions: list[DatasetVersion], now: datetime) -> None:
    for version in versions:
        with transaction.atomic():
            DatasetVersion.objects.filter(pk=version.pk).update(goes_at=now + NOTICE)
            event_record(
                version.dataset,
                project=version.dataset.project,
                actor=None,
                verb="retention_noticed",
                data={"version": f"v{version.number}", "days": NOTICE.days},
            )


def _removed(version_id: uuid.UUID) -> bool:
    try:
        with transaction.atomic():
            version = (
                DatasetVersion.objects.select_for_update(of=("self",))
                .select_related("dataset__project")
                .filter(pk=version_id, is_kept=False)
                .first()
            )
            if version is not None:
                version_remove(version, by=None)
            return version is not None
    except Conflict as refused:  # begun to be used since
        logger.info("version %s stays: %s", version_id, refused.message)
        return False
