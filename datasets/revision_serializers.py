"""The shapes in which the API gives and takes decisions on rows."""

from typing import Any

from rest_framework import serializers

from common.nesting import JSONField
from datasets.models import Revision, RowDecision
from datasets.services.edits import RATINGS
from datasets.services.reviews import REVIEWERS_MAX, ROWS_MAX


class DecisionSerializer(serializers.ModelSerializer[RowDecision]):
    """What somebody decided about a row."""

    number = serializers.IntegerField(read_only=True, help_text="Of the row, from 1.")
    value = serializers.JSONField(
        source="changed_value", read_only=True, help_text="The changed row; else null."
    )
    by = serializers.CharField(source="by.username", read_only=True, default=None)

    class Meta:
        model = RowDecision
        fields = ("number", "verdict", "value", "rating", "note", "edition", "by", "decided_at")
        read_only_fields = fields


class DecisionsSerializer(serializers.Serializer[Any]):
    """A page of decisions."""

    count = serializers.IntegerField()
    next_from = serializers.IntegerField(allow_null=True)
    results = DecisionSerializer(many=True)


class DecideSerializer(serializers.Serializer[Any]):
    """A decision about a row. What is left out stays as it was."""

    edition = serializers.IntegerField(
        min_value=0,
        help_text="Of the decision that you saw, 0 for none; 409 when it changed since.",
    )
    verdict = serializers.ChoiceField(
        choices=[("changed", "changed"), ("excluded", "excluded"), ("", "as it was")],
        required=False,
    )
    value = JSONField(required=False, help_text="The whole row, with `changed`.")
    rating = serializers.IntegerField(
        min_value=0, max_value=RATINGS[-1], required=False, help_text="1 to 5; 0 takes it away."
    )
    note = serializers.CharField(max_length=500, required=False, allow_blank=True)


class RevisionSerializer(serializers.ModelSerializer[Revision]):
    """Decisions on rows of a version, which make a new one."""

    version_name = serializers.CharField(source="version.__str__", read_only=True)
    counts = serializers.DictField(child=serializers.IntegerField(), read_only=True)
    created_by = serializers.CharField(source="created_by.username", read_only=True, default=None)
    saved_by = serializers.CharField(source="saved_by.username", read_only=True, default=None)

    class Meta:
        model = Revision
        fields = (
            "id",
            "version",
            "version_name",
            "kind",
            "name",
            "state",
            "counts",
            "plan",
            "progress",
            "problem",
            "result",
            "created_by",
            "created_at",
            "saved_by",
            "ended_at",
        )
        read_only_fields = fields


class SaveSerializer(serializers.Serializer[Any]):
    """How decisions are saved."""

    drop_rated_under = serializers.IntegerField(
        min_value=RATINGS[0],
        max_value=RATINGS[-1],
        required=False,
        allow_null=True,
        default=None,
        help_text="Rows with a lower rating are left out, too.",
    )
    keeps_rest = serializers.BooleanField(
        default=True, help_text="Of a review: whether rows without a decision are kept."
    )


class ReviewCreateSerializer(serializers.Serializer[Any]):
    """Which rows are reviewed, and by how many people each."""

    version = serializers.UUIDField()
    name = serializers.CharField(max_length=80)
    wanted = serializers.IntegerField(min_value=1, max_value=REVIEWERS_MAX, default=1)
    sample = serializers.IntegerField(
        min_value=1, max_value=ROWS_MAX, required=False, allow_null=True, default=None
    )
    column = serializers.CharField(
        max_length=200,
        required=False,
        allow_blank=True,
        default="",
        help_text="Only rows that have something there.",
    )
    below = serializers.FloatField(
        required=False, allow_null=True, default=None, help_text="And there a lower number."
    )


class ReviewRowSerializer(serializers.Serializer[Any]):
    """A row that waits for the caller, held for ten minutes; all null when none does."""

    decision = serializers.IntegerField(allow_null=True, help_text="What `decide` names.")
    number = serializers.IntegerField(allow_null=True, help_text="Of the row, from 1.")
    value = serializers.JSONField(allow_null=True, help_text="Null when it is too long.")
    settles = serializers.BooleanField(help_text="Whether reviewers disagree about it.")


class ReviewDecideSerializer(serializers.Serializer[Any]):
    """What the caller decides about the row that `next` gave."""

    decision = serializers.IntegerField()
    verdict = serializers.ChoiceField(
        choices=[(one, one) for one in ("accepted", "changed", "excluded", "skipped")]
    )
    value = JSONField(required=False, default=None, help_text="With `changed`.")
    note = serializers.CharField(max_length=500, required=False, allow_blank=True, default="")


class AgreementSerializer(serializers.Serializer[Any]):
    """How far reviewers agree; null where it cannot be said."""

    compared = serializers.IntegerField(help_text="Rows with two decisions or more.")
    agreement = serializers.FloatField(allow_null=True, help_text="Share of pairs, 0 to 1.")
    alpha = serializers.FloatField(allow_null=True, help_text="Krippendorff's, nominal.")
    kappa = serializers.FloatField(allow_null=True, help_text="Cohen's, of two reviewers.")
    disputed = serializers.IntegerField(help_text="Rows that wait to be settled.")
