"""The shapes in which the API gives and takes datasets."""

from typing import Any

from django.contrib.auth.models import AnonymousUser
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from common.api import texts_storable
from common.nesting import JSONField
from common.phrases import gettext as _
from datasets import services
from datasets.lineage import lineage_seen
from datasets.models import Dataset, DatasetVersion, Recipe, RecipeRun
from datasets.recipes.compared import Stretch, TextChange
from datasets.shapes.findings import words


class VersionSerializer(serializers.ModelSerializer[DatasetVersion]):
    """Immutable contents, and what the check found in them."""

    dataset_name = serializers.CharField(source="dataset.name", read_only=True)
    name = serializers.CharField(source="__str__", read_only=True)
    created_by = serializers.CharField(source="created_by.username", read_only=True, default=None)
    dropped = serializers.IntegerField(read_only=True)
    stages = serializers.SerializerMethodField()
    report = serializers.SerializerMethodField()
    lineage = serializers.SerializerMethodField()
    files = serializers.JSONField(
        source="contained",
        read_only=True,
        help_text="Of an archive, or a file that was not read whole: name, kind, rows, problem.",
    )

    class Meta:
        model = DatasetVersion
        fields = (
            "id",
            "name",
            "dataset",
            "dataset_name",
            "number",
            "parent",
            "lineage",
            "state",
            "shape",
            "columns",
            "tags",
            "file_columns",
            "filename",
            "file_format",
            "files",
            "encoding",
            "bytes",
            "stored_bytes",
            "sha256",
            "rows",
            "dropped",
            "stages",
            "progress",
            "report",
            "is_kept",
            "goes_at",
            "created_by",
            "created_at",
        )
        read_only_fields = fields

    @extend_schema_field(serializers.ListField(child=serializers.CharField()))
    def get_stages(self, version: DatasetVersion) -> list[str]:
        """Training stages that the version fits."""
        return [stage for stage, _name, unfit in services.stages_of(version) if not unfit]

    @extend_schema_field(serializers.JSONField())
    def get_lineage(self, version: DatasetVersion) -> dict[str, Any]:
        """Recipe, steps, seed, part and counts of rows that a recipe made; else empty.

        `source`, the version they come from by its name, and further `inputs` are for those who may
        see them.
        """
        request = self.context.get("request")
        user = request.user if request else AnonymousUser()
        return lineage_seen(version, user, self.context.get("sources"))

    @extend_schema_field(serializers.JSONField())
    def get_report(self, version: DatasetVersion) -> dict[str, Any]:
        """What the check found."""
        report = dict(version.report)
        if "error" in report:
            report["error"] = {**report["error"], "message": version.problem}
        if "findings" in report:
            report["findings"] = [
                {**one, "row": one["row"] + 1, "message": words(one["code"], one["detail"])}
                for one in report["findings"]
            ]
        return report


class VersionBriefSerializer(serializers.ModelSerializer[DatasetVersion]):
    """A version without its report."""

    class Meta:
        model = DatasetVersion
        fields = ("id", "dataset", "number", "state", "shape", "rows", "bytes", "created_at")
        read_only_fields = fields


class DatasetSerializer(serializers.ModelSerializer[Dataset]):
    """A name for data that grows by versions."""

    project_name = serializers.CharField(source="project.name", read_only=True)
    created_by = serializers.CharField(source="created_by.username", read_only=True, default=None)
    latest_version = VersionBriefSerializer(source="latest", read_only=True, allow_null=True)
    version_count = serializers.IntegerField(read_only=True)

    class Meta:
        model = Dataset
        fields = (
            "id",
            "name",
            "remark",
            "is_public",
            "project",
            "project_name",
            "latest_version",
            "version_count",
            "created_by",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields


class KeepSerializer(serializers.Serializer[Any]):
    """Whether a version is pinned, so that no rule of retention removes it."""

    kept = serializers.BooleanField()


class MappingSerializer(serializers.Serializer[Any]):
    """Which of the file's columns is what; left out, all is detected."""

    shape = serializers.ChoiceField(choices=DatasetVersion.Shape.choices, required=False)
    columns = JSONField(
        required=False,
        validators=[texts_storable],
        help_text="Engine's column name -> the file's column name.",
    )
    tags = JSONField(
        required=False,
        validators=[texts_storable],
        help_text="role_tag, content_tag, user_tag, … -> names in the file.",
    )

    def validate_columns(self, value: Any) -> dict[str, Any]:
        """Must be an object."""
        return _object(value)

    def validate_tags(self, value: Any) -> dict[str, Any]:
        """Must be an object."""
        return _object(value)


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise serializers.ValidationError(_("An object of names is needed."))
    return value


class DatasetChangeSerializer(serializers.Serializer[Any]):
    """What can be changed of a dataset."""

    name = serializers.CharField(max_length=200, required=False)
    remark = serializers.CharField(max_length=2000, required=False, allow_blank=True)
    is_public = serializers.BooleanField(required=False)


class FindingSerializer(serializers.Serializer[Any]):
    """One thing about one row."""

    line = serializers.IntegerField()
    row = serializers.IntegerField(help_text="From 1.")
    code = serializers.CharField()
    drops = serializers.BooleanField()
    message = serializers.CharField()


class FindingsSerializer(serializers.Serializer[Any]):
    """A page of findings."""

    count = serializers.IntegerField()
    next_from = serializers.IntegerField(allow_null=True)
    results = FindingSerializer(many=True)


class RecipeSerializer(serializers.ModelSerializer[Recipe]):
    """Named steps."""

    project_name = serializers.CharField(source="project.name", read_only=True)
    created_by = serializers.CharField(source="created_by.username", read_only=True, default=None)

    class Meta:
        model = Recipe
        fields = (
            "id",
            "name",
            "remark",
            "steps",
            "project",
            "project_name",
            "created_by",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields


class RecipeChangeSerializer(serializers.Serializer[Any]):
    """What can be changed of a recipe. A blank name is refused like every other bad one: 422."""

    name = serializers.CharField(max_length=200, required=False, allow_blank=True)
    remark = serializers.CharField(max_length=2000, required=False, allow_blank=True)
    steps = JSONField(
        required=False,
        validators=[texts_storable],
        help_text='[{"kind": "clean", "parameters": {}}, …]; see `kinds`.',
    )


class RecipeCreateSerializer(RecipeChangeSerializer):
    """A new recipe."""

    name = serializers.CharField(max_length=200, allow_blank=True)
    steps = JSONField(
        validators=[texts_storable],
        help_text='[{"kind": "clean", "parameters": {}}, …]; see `kinds`.',
    )
    project = serializers.UUIDField(
        required=False, allow_null=True, help_text="Your personal project by default."
    )


class ParameterSerializer(serializers.Serializer[Any]):
    """A parameter of a kind of step."""

    name = serializers.CharField()
    title = serializers.CharField()
    help = serializers.CharField()
    type = serializers.CharField(
        help_text="flag, number, choice, several, written, column, speakers, rules, versions,"
        " pattern or model."
    )
    default = serializers.JSONField()


class KindSerializer(serializers.Serializer[Any]):
    """A kind of step."""

    name = serializers.CharField()
    title = serializers.CharField()
    text = serializers.CharField()
    parameters = ParameterSerializer(many=True)


class SeenTextSerializer(serializers.Serializer[Any]):
    """A text before and after; `after` is null when nothing changed."""

    role = serializers.CharField()
    before = serializers.CharField()
    after = serializers.CharField(allow_null=True)


def texts_shown(texts: list[TextChange]) -> list[dict[str, Any]]:
    """What a `SeenTextSerializer` describes, of each of the texts."""
    return [
        {
            "role": text.role,
            "before": _plain(text.before),
            "after": _plain(text.after) if text.changed else None,
        }
        for text in texts
    ]


def _plain(stretches: list[Stretch]) -> str:
    return "".join(stretch.text for stretch in stretches)


class SeenRowSerializer(serializers.Serializer[Any]):
    """What becomes of a row."""

    number = serializers.IntegerField(help_text="From 1.")
    changed = serializers.BooleanField()
    added = serializers.BooleanField(help_text="Not in the input: mixed in, or made of this row.")
    part = serializers.CharField(help_text="train, validation or test, where the recipe splits.")
    dropped_by = serializers.IntegerField(allow_null=True, help_text="Number of the step, from 1.")
    reason = serializers.CharField()
    texts = SeenTextSerializer(many=True)


class RecipePreviewSerializer(serializers.Serializer[Any]):
    """What a recipe does with the first rows of a version."""

    report = serializers.JSONField(help_text="What each step did with these rows.")
    rows = SeenRowSerializer(many=True)


class AskSerializer(serializers.Serializer[Any]):
    """On which version models are asked about a few rows."""

    version = serializers.UUIDField()


class RecipeAskedSerializer(RecipePreviewSerializer):
    """What a recipe does with a few rows when models are asked, and what that cost."""

    spent = serializers.JSONField()


class LimitsSerializer(serializers.Serializer[Any]):
    """What a run that asks models may spend."""

    max_cost = serializers.DecimalField(
        12, 2, min_value=0, required=False, allow_null=True, default=None
    )
    max_tokens = serializers.IntegerField(
        min_value=1, max_value=10**15, required=False, allow_null=True, default=None
    )


class RunCreateSerializer(LimitsSerializer):
    """On which version a recipe runs, and where its rows go."""

    version = serializers.UUIDField()
    name = serializers.CharField(
        max_length=80,
        required=False,
        allow_blank=True,
        default="",
        help_text="Of a new dataset; left out, the rows become versions of the same dataset.",
    )
    seed = serializers.IntegerField(
        min_value=0, max_value=2**31 - 1, required=False, allow_null=True, default=None
    )


class RecipeRunSerializer(serializers.ModelSerializer[RecipeRun]):
    """One use of a recipe, what each step did and what came of it."""

    project_name = serializers.CharField(source="project.name", read_only=True)
    created_by = serializers.CharField(source="created_by.username", read_only=True, default=None)
    outputs = VersionBriefSerializer(many=True, read_only=True)
    can_resume = serializers.BooleanField(read_only=True)
    problem_code = serializers.CharField(
        read_only=True,
        help_text="What kind of problem it is: nothing_left (no row), part_empty (a part without"
        " rows), mostly_unusable (answers), spending_limit and others.",
    )
    log = serializers.SerializerMethodField(help_text="Newest line first; empty in lists.")

    @extend_schema_field(serializers.ListField(child=serializers.DictField()))
    def get_log(self, run: RecipeRun) -> list[dict[str, Any]]:
        """In the reader's language."""
        listed = isinstance(self.parent, serializers.ListSerializer)
        return [] if listed else services.log_lines(run.log)

    class Meta:
        model = RecipeRun
        fields = (
            "id",
            "recipe",
            "recipe_name",
            "steps",
            "seed",
            "source",
            "source_name",
            "inputs",
            "dataset",
            "name",
            "project",
            "project_name",
            "state",
            "progress",
            "report",
            "problem",
            "problem_code",
            "asks_models",
            "can_resume",
            "max_cost",
            "max_tokens",
            "currency",
            "spent",
            "log",
            "outputs",
            "created_by",
            "created_at",
            "started_at",
            "ended_at",
        )
        read_only_fields = fields
