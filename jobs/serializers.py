"""Jobs as JSON."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.models import Project, Role, User
from common.phrases import load
from datasets.models import DatasetVersion
from jobs.models import Attempt, Checkpoint, Job, JobDataset
from jobs.services import reading
from registry.models import Evaluation, ModelVersion


class VersionSerializer(serializers.ModelSerializer[ModelVersion]):
    """A model version, in short."""

    name = serializers.CharField(source="__str__", read_only=True)
    model = serializers.UUIDField(source="model_id", read_only=True)

    class Meta:
        model = ModelVersion
        fields = (
            "id",
            "model",
            "name",
            "number",
            "kind",
            "template",
            "parameters",
            "bytes",
            "facts",
        )
        read_only_fields = fields


class UsedDatasetSerializer(serializers.ModelSerializer[JobDataset]):
    """A dataset version and what it is used for."""

    id = serializers.UUIDField(source="dataset_version_id", read_only=True)
    dataset = serializers.UUIDField(source="dataset_version.dataset_id", read_only=True)
    name = serializers.CharField(source="dataset_version", read_only=True)

    class Meta:
        model = JobDataset
        fields = ("id", "dataset", "name", "use")
        read_only_fields = fields


class CheckpointSerializer(serializers.ModelSerializer[Checkpoint]):
    """A state that can be resumed from, while `is_present`."""

    attempt = serializers.IntegerField(source="attempt.number", read_only=True)

    class Meta:
        model = Checkpoint
        fields = ("id", "attempt", "name", "step", "bytes", "saved_at", "is_present")
        read_only_fields = fields


class AttemptSerializer(serializers.ModelSerializer[Attempt]):
    """One try: where it stands and on which node."""

    state = serializers.CharField(source="workload.state", read_only=True)
    outcome = serializers.CharField(source="workload.outcome", read_only=True)
    reason = serializers.CharField(source="workload.reason", read_only=True)
    exited_at = serializers.DateTimeField(source="workload.exited_at", read_only=True)
    node = serializers.CharField(source="workload.node.name", default="", read_only=True)

    class Meta:
        model = Attempt
        fields = (
            "number",
            "workload",
            "state",
            "outcome",
            "reason",
            "node",
            "exited_at",
            "resumed_step",
            "is_automatic",
            "started_at",
            "ended_at",
        )
        read_only_fields = fields


class BaselineSerializer(serializers.ModelSerializer[Evaluation]):
    """The scores to compare with."""

    class Meta:
        model = Evaluation
        fields = ("id", "version", "rows", "scores")
        read_only_fields = fields


class EvaluationSerializer(serializers.ModelSerializer[Evaluation]):
    """Scores that the job computed."""

    baseline = BaselineSerializer(read_only=True)

    class Meta:
        model = Evaluation
        fields = ("id", "version", "dataset_label", "rows", "scores", "baseline")
        read_only_fields = fields


class JobRowSerializer(serializers.ModelSerializer[Job]):
    """A job in a list."""

    model_version = VersionSerializer(read_only=True)
    output_version = VersionSerializer(read_only=True)
    created_by = serializers.SlugRelatedField[User](slug_field="username", read_only=True)
    percent = serializers.IntegerField(read_only=True)

    class Meta:
        model = Job
        fields: tuple[str, ...] = (
            "id",
            "project",
            "name",
            "kind",
            "stage",
            "method",
            "preset",
            "state",
            "phase",
            "step",
            "total_steps",
            "percent",
            "latest",
            "failure",
            "failure_line",
            "model_version",
            "output_version",
            "priority",
            "gpus",
            "created_by",
            "created_at",
            "started_at",
            "finished_at",
        )
        read_only_fields = fields


class JobSerializer(JobRowSerializer):
    """A job with all that is known of it."""

    datasets = UsedDatasetSerializer(many=True, read_only=True)
    attempts = AttemptSerializer(many=True, read_only=True)
    evaluations = EvaluationSerializer(many=True, read_only=True)
    advice = serializers.SerializerMethodField()
    suggested_settings = serializers.SerializerMethodField()
    remaining_seconds = serializers.SerializerMethodField()
    queue = serializers.SerializerMethodField()
    estimate = serializers.SerializerMethodField()
    actions = serializers.SerializerMethodField()

    class Meta(JobRowSerializer.Meta):
        fields = (
            *JobRowSerializer.Meta.fields,
            "remark",
            "engine",
            "datasets",
            "settings",
            "config_overrides",
            "config",
            "output_name",
            "parent",
            "wanted",
            "estimate",
            "result",
            "advice",
            "suggested_settings",
            "remaining_seconds",
            "queue",
            "attempts",
            "evaluations",
            "actions",
        )
        read_only_fields = fields

    def get_advice(self, job: Job) -> str:
        """What to do about a failure."""
        advice = reading.advice_of(job)
        return str(advice.text) if advice else ""

    @extend_schema_field(dict[str, Any])
    def get_suggested_settings(self, job: Job) -> dict[str, Any]:
        """Settings that would help."""
        advice = reading.advice_of(job)
        return dict(advice.changes) if advice else {}

    def get_remaining_seconds(self, job: Job) -> float | None:
        """How long it still takes, as far as its pace tells."""
        left = reading.remaining(job)
        return round(left.seconds, 1) if left else None

    @extend_schema_field(dict[str, Any])
    def get_queue(self, job: Job) -> dict[str, Any] | None:
        """Place and reason while it waits."""
        position, reason = reading.waiting_note(job.latest_attempt())
        return {"position": position, "reason": reason} if position else None

    @extend_schema_field(dict[str, Any])
    def get_estimate(self, job: Job) -> dict[str, Any]:
        """What was foreseen at the start: bytes, steps."""
        parts = [[load(label), size] for label, size in job.estimate.get("memory", [])]
        return {**job.estimate, "memory": parts} if parts else job.estimate

    def get_actions(self, job: Job) -> list[str]:
        """What can be done with it now."""
        return reading.actions_of(job)


class NewJobSerializer(serializers.Serializer[Any]):
    """What a new job is made of. What is left out is decided by preset, model and data."""

    kind = serializers.ChoiceField(choices=Job.Kind.choices, default=Job.Kind.TRAIN)
    name = serializers.CharField(max_length=200)
    remark = serializers.CharField(required=False, allow_blank=True, max_length=2000)
    project = serializers.PrimaryKeyRelatedField(queryset=Project.objects.none(), required=False)
    model_version = serializers.PrimaryKeyRelatedField(queryset=ModelVersion.objects.none())
    dataset_versions = serializers.PrimaryKeyRelatedField(
        queryset=DatasetVersion.objects.none(), many=True, required=False
    )
    eval_dataset_versions = serializers.PrimaryKeyRelatedField(
        queryset=DatasetVersion.objects.none(), many=True, required=False
    )
    after_dataset_versions = serializers.PrimaryKeyRelatedField(
        queryset=DatasetVersion.objects.none(),
        many=True,
        required=False,
        help_text="Evaluated on by itself when the training has succeeded.",
    )
    stage = serializers.CharField(required=False, allow_blank=True, max_length=20)
    method = serializers.CharField(required=False, allow_blank=True, max_length=20)
    preset = serializers.CharField(required=False, allow_blank=True, max_length=20)
    settings = serializers.DictField(required=False)
    config_overrides = serializers.CharField(
        required=False, allow_blank=True, trim_whitespace=False
    )
    priority = serializers.IntegerField(required=False, min_value=0, max_value=100)
    gpus = serializers.IntegerField(required=False, min_value=0, max_value=64)
    output_name = serializers.CharField(required=False, allow_blank=True, max_length=120)
    parent = serializers.PrimaryKeyRelatedField(  # type: ignore[assignment]
        queryset=Job.objects.none(), required=False
    )

    def get_fields(self) -> dict[str, Any]:
        """Only what the user may choose."""
        fields: dict[str, Any] = super().get_fields()
        request = self.context.get("request")
        if request is None or not isinstance(request.user, User):
            return fields
        user = request.user
        seen = DatasetVersion.objects.visible_to(user).select_related("dataset")
        fields["project"].queryset = Project.objects.with_role(user, Role.RESEARCHER)
        fields["parent"].queryset = Job.objects.visible_to(user)
        fields["model_version"].queryset = ModelVersion.objects.visible_to(user).select_related(
            "model", "base"
        )
        for name in ("dataset_versions", "eval_dataset_versions", "after_dataset_versions"):
            fields[name].child_relation.queryset = seen
        return fields


class ResumeSerializer(serializers.Serializer[Any]):
    """Where to go on: the last checkpoint when none is named."""

    checkpoint = serializers.IntegerField(required=False)


class RetrySerializer(serializers.Serializer[Any]):
    """Whether to leave the checkpoints aside."""

    from_start = serializers.BooleanField(default=False)


class ChangeSerializer(serializers.Serializer[Any]):
    """What may change after submitting."""

    priority = serializers.IntegerField(min_value=0, max_value=100)


class PointSerializer(serializers.Serializer[Any]):
    """What the engine reported at one step."""

    step = serializers.IntegerField()
    epoch = serializers.FloatField(allow_null=True)
    time = serializers.DateTimeField()
    attempt = serializers.IntegerField()
    values = serializers.DictField()


class MetricsSerializer(serializers.Serializer[Any]):
    """The curves; steps that were trained again after a resume are there once."""

    points = PointSerializer(many=True)


class EventSerializer(serializers.Serializer[Any]):
    """One change of a job."""

    id = serializers.IntegerField()
    at = serializers.DateTimeField()
    verb = serializers.CharField()
    old = serializers.CharField()
    new = serializers.CharField()
    reason = serializers.CharField()
    actor = serializers.CharField(source="actor.username", default=None, allow_null=True)
    data = serializers.DictField()  # type: ignore[assignment]


class FileSerializer(serializers.Serializer[Any]):
    """A file of an attempt, and where it is to be had."""

    path = serializers.CharField()
    url = serializers.CharField()
    size = serializers.IntegerField()
    changed_at = serializers.DateTimeField()


class LogSerializer(serializers.Serializer[Any]):
    """A part of a log. `next` is the offset to go on from."""

    offset = serializers.IntegerField()
    next = serializers.IntegerField()
    text = serializers.CharField()


class PreviewSerializer(serializers.Serializer[Any]):
    """What a draft would become."""

    config = serializers.CharField()
    settings = serializers.DictField()
    steps = serializers.IntegerField(allow_null=True)
    memory_bytes = serializers.IntegerField()
    memory = serializers.ListField()
    disk_bytes = serializers.IntegerField()
    gpus = serializers.IntegerField()
