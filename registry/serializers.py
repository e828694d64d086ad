"""The shapes in which the API gives and takes models and evaluations."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from registry.models import Evaluation, Model, ModelVersion


class ModelRefSerializer(serializers.ModelSerializer[Model]):
    """A model in a few words."""

    class Meta:
        model = Model
        fields = ("id", "name", "project", "is_enabled")
        read_only_fields = fields


class VersionRefSerializer(serializers.ModelSerializer[ModelVersion]):
    """A version in a few words."""

    name = serializers.CharField(source="__str__", read_only=True)

    class Meta:
        model = ModelVersion
        fields = ("id", "name", "kind", "number")
        read_only_fields = fields


class EvaluationRefSerializer(serializers.ModelSerializer[Evaluation]):
    """An evaluation with its scores, without what it is compared with."""

    version = VersionRefSerializer(read_only=True)

    class Meta:
        model = Evaluation
        fields = ("id", "version", "dataset_version_id", "dataset_label", "rows", "scores")
        read_only_fields = fields


class ModelVersionSerializer(serializers.ModelSerializer[ModelVersion]):
    """Immutable weights: what they are, where they come from, how good they are."""

    name = serializers.CharField(source="__str__", read_only=True)
    model = ModelRefSerializer(read_only=True)
    base = VersionRefSerializer(read_only=True, allow_null=True)
    evaluations = serializers.SerializerMethodField()

    class Meta:
        model = ModelVersion
        fields = (
            "id",
            "name",
            "model",
            "number",
            "kind",
            "source",
            "base",
            "template",
            "hf_id",
            "ms_id",
            "parameters",
            "bytes",
            "facts",
            "evaluations",
            "created_at",
        )
        read_only_fields = fields

    @extend_schema_field(EvaluationRefSerializer(many=True))
    def get_evaluations(self, version: ModelVersion) -> list[dict[str, Any]]:
        """Evaluations that the reader may see: a base model is evaluated by many projects."""
        user = getattr(self.context.get("request"), "user", None)
        if user is None:
            return []
        found = version.evaluations.visible_to(user)[:20]
        return list(EvaluationRefSerializer(found, many=True).data)


class FileSerializer(serializers.Serializer[Any]):
    """A file of a version."""

    name = serializers.CharField()
    bytes = serializers.IntegerField()


class ModelSerializer(serializers.ModelSerializer[Model]):
    """A name and its versions."""

    versions = VersionRefSerializer(many=True, read_only=True)

    class Meta:
        model = Model
        fields = ("id", "name", "remark", "project", "is_enabled", "versions", "created_at")
        read_only_fields = fields


class ModelChangeSerializer(serializers.Serializer[Any]):
    """What a person may change of a model."""

    name = serializers.CharField(max_length=120, required=False)
    remark = serializers.CharField(max_length=2000, required=False, allow_blank=True)


class BaseModelSerializer(serializers.ModelSerializer[Model]):
    """A base model with what the engine needs to find and use it."""

    version = serializers.SerializerMethodField()

    class Meta:
        model = Model
        fields = ("id", "name", "remark", "is_enabled", "version", "created_at")
        read_only_fields = fields

    @extend_schema_field(ModelVersionSerializer(allow_null=True))
    def get_version(self, model: Model) -> dict[str, Any] | None:
        """The model's only version."""
        version = next(iter(model.versions.all()), None)
        if version is None:
            return None
        return dict(ModelVersionSerializer(version, context=self.context).data)


class BaseModelChangeSerializer(serializers.Serializer[Any]):
    """What operators may change of a base model."""

    name = serializers.CharField(max_length=120, required=False)
    remark = serializers.CharField(max_length=2000, required=False, allow_blank=True)
    is_enabled = serializers.BooleanField(required=False)
    template = serializers.CharField(max_length=60, required=False, allow_blank=True)
    hf_id = serializers.CharField(max_length=200, required=False, allow_blank=True)
    ms_id = serializers.CharField(max_length=200, required=False, allow_blank=True)


class BaseModelAddSerializer(serializers.Serializer[Any]):
    """A base model that lies on a hub."""

    name = serializers.CharField(max_length=120)
    remark = serializers.CharField(max_length=2000, required=False, allow_blank=True)
    template = serializers.CharField(max_length=60, required=False, allow_blank=True)
    hf_id = serializers.CharField(max_length=200, required=False, allow_blank=True)
    ms_id = serializers.CharField(max_length=200, required=False, allow_blank=True)


class FolderImportSerializer(serializers.Serializer[Any]):
    """A folder of models/import, by its name."""

    folder = serializers.CharField(max_length=255)
    name = serializers.CharField(max_length=120)
    template = serializers.CharField(max_length=60, required=False, allow_blank=True)


class CandidateSerializer(serializers.Serializer[Any]):
    """A folder that could be imported, and why not."""

    name = serializers.CharField()
    bytes = serializers.IntegerField()
    parameters = serializers.IntegerField()
    architecture = serializers.CharField()
    problem = serializers.CharField(allow_blank=True)


class EvaluationSerializer(serializers.ModelSerializer[Evaluation]):
    """Scores, their 95 % intervals, and the comparison with the baseline."""

    version = VersionRefSerializer(read_only=True)
    baseline = EvaluationRefSerializer(read_only=True, allow_null=True)

    class Meta:
        model = Evaluation
        fields = (
            "id",
            "project",
            "version",
            "baseline",
            "dataset_version_id",
            "dataset_label",
            "settings",
            "rows",
            "scores",
            "details",
            "created_by",
            "created_at",
        )
        read_only_fields = fields


class RowSerializer(serializers.Serializer[Any]):
    """One question with the wanted answer and both models' answers and scores."""

    index = serializers.IntegerField()
    prompt = serializers.CharField()
    messages = serializers.ListField(child=serializers.DictField())
    reference = serializers.CharField()
    prediction = serializers.CharField()
    finish = serializers.CharField()
    scores = serializers.DictField(child=serializers.FloatField())
    baseline_prediction = serializers.CharField(allow_null=True)
    baseline_scores = serializers.DictField(child=serializers.FloatField())
