"""REST endpoints of how long a version's rows are by the tokenizers that there are."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from common.phrases import gettext as _
from datasets import services
from datasets.api.rows import number_of
from datasets.api.statistics import DATASET
from datasets.choices import CUTOFF
from datasets.lengths import lengths_by, tokenizer_named
from datasets.models import DatasetVersion


class TokenizerSerializer(serializers.Serializer[Any]):
    """A model whose tokenizer may be chosen."""

    id = serializers.UUIDField(help_text="Of the model's version.")
    name = serializers.CharField()
    template = serializers.CharField(help_text="The chat template that is counted with.")
    words_known = serializers.BooleanField(
        help_text="Whether rows are shown with the template's own words; else with ChatML's."
    )
    is_base = serializers.BooleanField()
    problem = serializers.CharField(help_text="Why nothing can be counted with it; empty: it can.")


class CutsSerializer(serializers.Serializer[Any]):
    """How many rows the engine would cut, see the platform's guide."""

    tokenizer = serializers.UUIDField(allow_null=True, help_text="Null: that of the check.")
    state = serializers.ChoiceField(choices=("waiting", "done", "failed"))
    percent = serializers.IntegerField(help_text="Of a count that goes on.")
    problem = serializers.CharField(help_text="Why nothing can be counted.")
    cutoff_len = serializers.IntegerField()
    rows = serializers.IntegerField()
    cut = serializers.IntegerField(allow_null=True, help_text="Null until it is counted.")
    cut_percent = serializers.FloatField(allow_null=True)
    tokens = serializers.JSONField(
        help_text="Percentiles; of a chosen tokenizer also `buckets` (length and rows), and in"
        " `count` how many of the `rows` were counted."
    )


class LengthsMixin(GenericViewSet[DatasetVersion]):
    """Lengths in tokens."""

    @extend_schema(parameters=[DATASET], responses=TokenizerSerializer(many=True), filters=False)
    @action(detail=True, pagination_class=None)
    def tokenizers(self, request: Request, **kwargs: Any) -> Response:
        """Base models and models of the user's projects, to count a version's tokens with."""
        self.get_object()
        found = services.tokenizers_of(request.user)
        return Response(TokenizerSerializer(found, many=True).data)

    @extend_schema(
        parameters=[
            DATASET,
            OpenApiParameter("cutoff_len", int),
            OpenApiParameter(
                "tokenizer",
                OpenApiTypes.UUID,
                description="One of `tokenizers`; none: the check's.",
            ),
        ],
        responses=CutsSerializer,
        filters=False,
    )
    @action(detail=True, pagination_class=None)
    def cuts(self, request: Request, **kwargs: Any) -> Response:
        """How many rows are longer than `cutoff_len` tokens.

        With a `tokenizer` that was not counted with yet the count begins, and `state` is `waiting`
        until it is done.
        """
        version = self.get_object()
        cutoff = number_of(request, "cutoff_len", CUTOFF)
        tokenizer = tokenizer_named(request.user, request.query_params.get("tokenizer", ""))
        told = {"tokenizer": None, "state": "done", "percent": 100, "problem": ""}
        if tokenizer is None:
            tokens = version.report.get("tokens", {})
            key = tokens.get("key", "")
            cut = services.version_cut_count(version, key=key, cutoff_len=cutoff)
            if cut is None:
                problem = _("Nothing was counted at the check. Choose a tokenizer.")
                told |= {"state": "failed", "percent": 0, "problem": problem}
        else:
            found = lengths_by(version, tokenizer, cutoff, by=request.user)
            cut = found.cut if found.state == "done" else None
            tokens = found.found
            told = {
                "tokenizer": tokenizer.id,
                "state": found.state,
                "percent": found.percent,
                "problem": found.problem,
            }
        share = None if cut is None else round(100 * cut / max(version.rows, 1), 2)
        return Response(
            {
                **told,
                "cutoff_len": cutoff,
                "rows": version.rows,
                "cut": cut,
                "cut_percent": share,
                "tokens": tokens,
            }
        )
