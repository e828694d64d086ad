"""What models learn from: datasets and their immutable versions."""

import uuid
from pathlib import Path
from typing import Any, Self

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import ProjectOwned, ProjectOwnedQuerySet, User
from common.phrases import load
from datasets.models.sharing import DatasetShare

INDEXES = ".indexes"  # a folder for each version that has indexes of columns


class DatasetQuerySet(ProjectOwnedQuerySet["Dataset"]):
    """Datasets by who may see them; public ones are seen by everybody, also without an account."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Public ones, those of the user's projects, and those shared with the user or these."""
        return self.filter(
            models.Q(is_public=True)
            | models.Q(pk__in=super().visible_to(user).values("pk"))
            | models.Q(pk__in=DatasetShare.objects.received_by(user).values("dataset"))
        )

    def shared_with(self, user: User | AnonymousUser) -> Self:
        """Those of other projects that somebody shared with the user or the user's projects."""
        return self.filter(pk__in=DatasetShare.objects.received_by(user).values("dataset"))

    def editable_by(self, user: User | AnonymousUser) -> Self:
        """Of the projects where the user is a researcher; public ones are left to operators."""
        rows = super().editable_by(user)
        return rows if user.is_authenticated and user.is_staff else rows.filter(is_public=False)

    def with_words(self, words: str) -> Self:
        """Datasets whose name or remark has the words."""
        return self.filter(models.Q(name__icontains=words) | models.Q(remark__icontains=words))

    def of_shape(self, shape: str) -> Self:
        """Datasets of which some version has the shape; whoever counts versions counts them all."""
        return self.filter(pk__in=DatasetVersion.objects.filter(shape=shape).values("dataset"))

    def with_latest(self) -> Self:
        """With the newest version at hand as `latest`, and `version_count`, for all at once."""
        newest = DatasetVersion.objects.without_counts()[:1]
        return (
            self.prefetch_related(models.Prefetch("versions", newest, to_attr="newest"))
            .annotate(version_count=models.Count("versions", distinct=True))
            .order_by("-updated_at", "name")  # a query that counts forgets the model's own order
        )


class Dataset(ProjectOwned):
    """A name for data that grows by versions."""

    name = models.CharField(_("name"), max_length=80)
    remark = models.TextField(_("remark"), blank=True, max_length=2000)
    is_public = models.BooleanField(
        _("public"), default=False, help_text=_("Everybody may read it, also without an account.")
    )
    updated_at = models.DateTimeField(_("changed"), auto_now=True)

    objects = DatasetQuerySet.as_manager()

    @property
    def latest(self) -> "DatasetVersion | None":
        """The newest version."""
        newest = getattr(self, "newest", None)  # a list brings it along
        return next(iter(self.versions.all()[:1] if newest is None else newest), None)

    class Meta:
        ordering = ("-updated_at",)
        constraints = (
            models.UniqueConstraint(fields=("project", "name"), name="one_dataset_of_a_name"),
        )
        verbose_name = _("dataset")
        verbose_name_plural = _("datasets")

    def __str__(self) -> str:
        return self.name


# Versions made from their parent, not uploaded after it: its rows changed, or its file read anew.
MADE = ~models.Q(lineage={}) | (models.Q(sha256=models.F("parent__sha256")) & ~models.Q(sha256=""))


class DatasetVersionQuerySet(models.QuerySet["DatasetVersion"]):
    """Versions are as visible as their dataset."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Versions of visible datasets."""
        return self.filter(dataset__in=Dataset.objects.visible_to(user))

    def editable_by(self, user: User | AnonymousUser) -> Self:
        """Versions of datasets that the user may change."""
        return self.filter(dataset__in=Dataset.objects.editable_by(user))

    def ready(self) -> Self:
        """Versions that can be trained on."""
        return self.filter(state=DatasetVersion.State.READY)

    def without_counts(self) -> Self:
        """Without what takes the most room in a row, and no list of versions shows."""
        return self.defer("statistics", "overlaps")


class DatasetVersion(models.Model):
    """Immutable contents: the uploaded file, its rows as JSON lines, what was found in them."""

    class State(models.TextChoices):
        """Where the check stands."""

        CHECKING = "checking", _("being checked")
        MAPPING = "mapping", _("needs columns named")
        READY = "ready", _("ready")
        BROKEN = "broken", _("broken")

    class Shape(models.TextChoices):
        """The forms of rows the engine reads."""

        ALPACA = "alpaca", _("instruction and answer (alpaca)")
        SHAREGPT = "sharegpt", _("conversations (sharegpt)")
        OPENAI = "openai", _("OpenAI messages")
        PREFERENCE = "preference", _("preference pairs")
        KTO = "kto", _("answers with good or bad marks (KTO)")
        TEXT = "text", _("plain texts (pretraining)")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    dataset = models.ForeignKey(
        Dataset, on_delete=models.CASCADE, related_name="versions", verbose_name=_("dataset")
    )
    number = models.PositiveIntegerField(_("version"))
    parent = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="children",
        verbose_name=_("made from"),
    )
    state = models.CharField(
        _("state"), max_length=10, choices=State.choices, default=State.CHECKING
    )
    shape = models.CharField(_("format"), max_length=12, choices=Shape.choices, blank=True)
    file_columns = models.JSONField(  # names, the most used first
        _("columns of the file"), default=list, blank=True
    )
    columns = models.JSONField(  # the engine's column -> the file's
        _("columns"), default=dict, blank=True
    )
    tags = models.JSONField(_("tags"), default=dict, blank=True)  # role names of conversations
    filename = models.CharField(_("file name"), max_length=255)  # as uploaded
    file_format = models.CharField(  # of the rows: json, jsonl, csv, pdf, …
        _("file format"), max_length=8
    )
    # As in `ingest.Contents`.
    files = models.JSONField(_("files"), default=list, blank=True)
    encoding = models.CharField(_("encoding"), max_length=16, blank=True)
    bytes = models.PositiveBigIntegerField(_("size in bytes"), default=0)  # of the uploaded file
    stored_bytes = models.PositiveBigIntegerField(  # of all its files
        _("stored in bytes"), default=0
    )
    sha256 = models.CharField(  # empty until the check has read the file
        _("SHA-256"), max_length=64, blank=True
    )
    rows = models.PositiveIntegerField(_("usable rows"), default=0)
    report = models.JSONField(  # counts and first findings; all are in findings.jsonl
        _("report"), default=dict, blank=True
    )
    # `families.ways_digest` of the templates of `report.stops`; when there are others, these are
    # found anew.
    stops_of = models.CharField(
        _("stops counted with"), max_length=16, db_default="", default="", editable=False
    )
    check_name = models.CharField(  # folder of the check that counts
        _("folder of the check"), max_length=24, blank=True
    )
    progress = models.JSONField(  # phase and share of what goes on
        _("progress"), default=dict, blank=True
    )
    near_progress = models.JSONField(  # of the count of near duplicates
        _("progress of near duplicates"), null=True, editable=False
    )
    # What the rows are like, see `datasets.statistics`; None until they are counted, which begins
    # when the version is ready. `error` says why they could not be.
    statistics = models.JSONField(_("statistics"), null=True, blank=True)
    statistics_format = models.PositiveSmallIntegerField(
        _("form of the statistics"), null=True, editable=False
    )
    # By the id of each evaluation set of the project: `datasets.statistics.overlaps.Overlap`.
    overlaps = models.JSONField(_("overlaps"), default=dict, blank=True)
    # A digest of the sets that it was compared with; when the project has others, it waits again.
    compared = models.CharField(
        _("compared with"), max_length=32, db_default="", default="", editable=False
    )
    run = models.ForeignKey(
        "RecipeRun",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="outputs",
        verbose_name=_("recipe run"),
    )
    # Where rows that were not uploaded come from, in words that outlive recipe, run and parent.
    # Of a recipe: recipe, steps, seed, source, inputs (further versions), part (train, validation,
    # test or none) and what each step did. Of people: kind (edits, …), source, part, counts, and
    # what each of them decided.
    lineage = models.JSONField(_("lineage"), default=dict, blank=True)
    is_kept = models.BooleanField(_("pinned"), default=False)  # no rule of retention removes it
    goes_at = models.DateTimeField(_("goes"), null=True, editable=False)  # by such a rule
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        verbose_name=_("created by"),
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    MOVES = {
        State.CHECKING: (State.MAPPING, State.READY, State.BROKEN),
        State.MAPPING: (State.CHECKING,),
        State.READY: (),
        State.BROKEN: (),
    }

    objects = DatasetVersionQuerySet.as_manager()

    class Meta:
        ordering = ("-number",)
        constraints = (
            models.UniqueConstraint(fields=("dataset", "number"), name="one_version_of_a_number"),
        )
        verbose_name = _("dataset version")
        verbose_name_plural = _("dataset versions")

    def __str__(self) -> str:
        return f"{self.dataset.name} v{self.number}"

    @property
    def directory(self) -> Path:
        """Where its files lie: the uploaded one, `rows.jsonl` with its index, folders of checks."""
        return Path(settings.TRAINER_HOME) / "data" / str(self.dataset_id) / f"v{self.number}"

    @property
    def original(self) -> Path:
        """The file as it was uploaded; `filename` is its name for people."""
        return self.directory / "original"

    @property
    def rows_path(self) -> Path:
        """All rows as JSON lines, with an index beside them."""
        return self.directory / "rows.jsonl"

    @property
    def check_directory(self) -> Path:
        """What the check that counts wrote: `findings.jsonl`, and `train.jsonl` for the engine."""
        return self.directory / self.check_name

    @property
    def train_path(self) -> Path:
        """The usable rows as the engine reads them; only a version that was checked has them."""
        return self.check_directory / "train.jsonl"

    @property
    def indexes_directory(self) -> Path:
        """Where indexes of its columns lie, if there are any: they can be made again."""
        return Path(settings.TRAINER_HOME) / "data" / INDEXES / str(self.pk)

    @property
    def problem(self) -> str:
        """Why it is broken, in the reader's language; empty when it is not."""
        return load(self.report.get("error", {}).get("message", ""))

    @property
    def counts(self) -> dict[str, Any]:
        """The statistics; empty while there are none."""
        found: dict[str, Any] = self.statistics or {}
        return {} if "error" in found else found

    @property
    def is_counted(self) -> bool:
        """Whether there are statistics, and facts of every row beside them."""
        return bool(self.counts)

    @property
    def contained(self) -> list[dict[str, Any]]:
        """The files of an archive, problems in the reader's language."""
        return [{**file, "problem": load(file["problem"])} for file in self.files]

    @property
    def left_out(self) -> list[dict[str, Any]]:
        """Files of which something, or all, could not be read."""
        return [file for file in self.contained if file["problem"]]

    @property
    def dropped(self) -> int:
        """Rows that the engine would drop or stop at."""
        return int(self.report.get("dropped", 0))
