"""What people decide about single rows of a version, until it becomes the next version."""

import uuid
from pathlib import Path
from typing import Any, Self

import orjson
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Project, Role, User
from common.phrases import PhraseField
from datasets.models.versions import Dataset, DatasetVersion

SETTLING = 9  # the seat of whoever settles a dispute about a row


class RevisionQuerySet(models.QuerySet["Revision"]):
    """Revisions are their project's: members see them, who may change the dataset changes them."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Of the user's projects; nobody else sees them, also of public datasets."""
        projects = Project.objects.with_role(user, Role.VIEWER)
        return self.filter(version__dataset__project__in=projects)

    def editable_by(self, user: User | AnonymousUser) -> Self:
        """Of versions whose dataset the user may change."""
        return self.filter(version__in=DatasetVersion.objects.editable_by(user))

    def reviews_of(self, dataset: Dataset) -> Self:
        """Reviews of all versions of a dataset."""
        reviews = self.filter(kind=Revision.Kind.REVIEW, version__dataset=dataset)
        return reviews.select_related("version")

    def drafts(self) -> Self:
        """Decisions by hand that are not saved yet: at most one of each version."""
        return self.filter(kind=Revision.Kind.EDITS).exclude(state=Revision.State.SAVED)


class Revision(models.Model):
    """Decisions on rows of one version, which together make a new one."""

    class Kind(models.TextChoices):
        """How the rows are come by."""

        EDITS = "edits", _("edits by hand")  # in the row browser; what nobody touched is kept
        REVIEW = "review", _("review")  # a queue of rows, each decided on by one person or several

    class State(models.TextChoices):
        """Where it stands."""

        OPEN = "open", _("under way")
        SAVING = "saving", _("being saved")
        SAVED = "saved", _("saved")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    version = models.ForeignKey(
        DatasetVersion,
        on_delete=models.CASCADE,
        related_name="revisions",
        verbose_name=_("version"),
    )
    kind = models.CharField(_("kind"), max_length=8, choices=Kind.choices, default=Kind.EDITS)
    state = models.CharField(_("state"), max_length=8, choices=State.choices, default=State.OPEN)
    name = models.CharField(_("name"), max_length=80, blank=True)  # of a review
    bytes = models.PositiveBigIntegerField(  # of all values that its decisions hold
        _("size in bytes"), default=0
    )
    # How it is saved: `drop_rated_under` (1 to 5; None keeps all), `keeps_rest` (rows without a
    # decision). Of a review also how it was begun: `rows`, `wanted` (reviewers of each row).
    plan = models.JSONField(_("plan"), default=dict, blank=True)
    progress = models.JSONField(_("progress"), default=dict, blank=True)  # percent, tries
    problem = PhraseField(_("problem"), blank=True)  # why it could not be saved
    result = models.ForeignKey(
        DatasetVersion,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("result"),
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("created by"),
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    saved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("saved by"),
    )
    ended_at = models.DateTimeField(_("ended"), null=True)

    MOVES = {
        State.OPEN: (State.SAVING,),
        State.SAVING: (State.SAVED, State.OPEN),
        State.SAVED: (),
    }

    objects = RevisionQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at",)
        constraints = (
            models.UniqueConstraint(
                fields=("version",),
                condition=models.Q(kind="edits") & ~models.Q(state="saved"),
                name="one_draft_of_a_version",
            ),
        )
        verbose_name = _("revision")
        verbose_name_plural = _("revisions")

    def __str__(self) -> str:
        return f"{self.version}: {self.name or self.get_kind_display()}"

    @property
    def is_review(self) -> bool:
        """Whether rows wait in a queue."""
        return self.kind == self.Kind.REVIEW

    @property
    def is_saving(self) -> bool:
        """Whether it is becoming a version."""
        return self.state == self.State.SAVING

    @property
    def counts(self) -> dict[str, int]:
        """How many decisions are of each kind."""
        verdicts = RowDecision.Verdict
        found: dict[str, int] = self.decisions.aggregate(
            accepted=models.Count("pk", filter=models.Q(verdict=verdicts.ACCEPTED)),
            changed=models.Count("pk", filter=models.Q(verdict=verdicts.CHANGED)),
            excluded=models.Count("pk", filter=models.Q(verdict=verdicts.EXCLUDED)),
            rated=models.Count("pk", filter=models.Q(rating__isnull=False)),
        )
        return found

    @staticmethod
    def root() -> Path:
        """Where revisions are written; each has a folder of its own there while that lasts."""
        return Path(settings.TRAINER_HOME) / "data" / ".revisions"

    @property
    def directory(self) -> Path:
        """Its own folder; gone when it is saved."""
        return self.root() / str(self.pk)


class RowDecisionQuerySet(models.QuerySet["RowDecision"]):
    """Decisions on rows."""

    def effective(self) -> Self:
        """Without those that were taken back."""
        return self.exclude(verdict="", rating=None, note="")

    def of_sort(self, sort: str) -> Self:
        """Those that rate a row, change it or leave it out; of any other `sort` all effective."""
        if sort == "rated":
            return self.exclude(rating=None)
        known = {RowDecision.Verdict.CHANGED, RowDecision.Verdict.EXCLUDED}
        return self.filter(verdict=sort) if sort in known else self.effective()

    def opinions(self) -> Self:
        """What reviewers decided, without what settles their disputes."""
        return self.exclude(verdict="").exclude(seat=SETTLING)

    def disputed(self) -> Self:
        """Disputes between reviewers that nobody has settled."""
        return self.filter(seat=SETTLING, verdict="")


class RowDecision(models.Model):
    """What somebody decided about one row."""

    class Verdict(models.TextChoices):
        """What becomes of the row."""

        NONE = "", _("not decided")
        ACCEPTED = "accepted", _("accepted")
        CHANGED = "changed", _("changed")
        EXCLUDED = "excluded", _("left out")

    revision = models.ForeignKey(
        Revision, on_delete=models.CASCADE, related_name="decisions", verbose_name=_("revision")
    )
    row = models.PositiveIntegerField(_("row"))  # its number in `rows.jsonl`, from 0
    # In a review a row has as many seats as reviewers are wanted, at a place of the queue; each is
    # held by who looks at it (`by`, since `claimed_at`) until it has a verdict.
    seat = models.PositiveSmallIntegerField(_("seat"), default=0)
    place = models.PositiveIntegerField(_("place of the row"), default=0)
    claimed_at = models.DateTimeField(_("claimed"), null=True, blank=True)
    verdict = models.CharField(
        _("verdict"), max_length=8, choices=Verdict.choices, blank=True, default=Verdict.NONE
    )
    # The changed row as JSON; as text, because databases put keys of JSON into an order of theirs.
    value = models.TextField(_("new value"), blank=True)
    rating = models.PositiveSmallIntegerField(_("rating"), null=True, blank=True)  # 1 to 5
    note = models.CharField(_("note"), max_length=500, blank=True)
    # Counts its changes, so that who did not see the last one cannot overwrite it unawares.
    edition = models.PositiveIntegerField(_("edition"), default=1)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("decided by"),
    )
    decided_at = models.DateTimeField(_("decided"), auto_now=True)

    objects = RowDecisionQuerySet.as_manager()

    class Meta:
        ordering = ("row", "seat")
        constraints = (
            models.UniqueConstraint(
                fields=("revision", "row", "seat"), name="one_decision_of_a_seat"
            ),
        )
        indexes = (models.Index(fields=("revision", "verdict", "place"), name="queue_of_rows"),)
        verbose_name = _("decision on a row")
        verbose_name_plural = _("decisions on rows")

    def __str__(self) -> str:
        return f"{self.row + 1}: {self.get_verdict_display()}"

    @property
    def number(self) -> int:
        """The row's number as people count."""
        return self.row + 1

    @property
    def changed_value(self) -> Any:
        """The changed row; None when it is not changed."""
        return orjson.loads(self.value) if self.value else None
