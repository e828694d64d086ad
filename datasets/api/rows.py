"""REST endpoint of a version's rows."""

from dataclasses import replace
from typing import Any

import orjson
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from common.errors import DomainError
from common.phrases import gettext as _
from common.texts import text_of, whole
from datasets import services
from datasets.api.statistics import DATASET
from datasets.browsing import rows_asked
from datasets.choices import (
    CONDITIONS_MAX,
    DECISION_NAMES,
    FLAG_NAMES,
    LANGUAGE_NAMES,
    choice_of,
    unfinished,
)
from datasets.lengths import tokenizer_named, tokenizer_of_check
from datasets.models import DatasetVersion, Revision, RowDecision
from datasets.previews import Page, ShownRow, rows_as_tokens
from datasets.revision_serializers import DecisionSerializer
from datasets.statistics.choosing import RowFacts
from datasets.statistics.indexes import OPERATORS
from datasets.statistics.tokenizers import Tokenizer

PAGE_MAX = 100
FROM = OpenApiParameter("from", int, description="Number of the first one, from 1.")
COUNT = OpenApiParameter("page_size", int, description=f"At most {PAGE_MAX}.")


class TurnSerializer(serializers.Serializer[Any]):
    """One turn as it is drawn."""

    role = serializers.CharField()
    text = serializers.CharField()
    learnt = serializers.BooleanField()


class FactsSerializer(serializers.Serializer[Any]):
    """What was counted of one row."""

    length = serializers.IntegerField(help_text="Tokens; characters without tokenizer.")
    estimated = serializers.BooleanField(help_text="Whether the length was not counted.")
    turns = serializers.IntegerField()
    language = serializers.CharField(
        help_text="Its code, mixed, other or unsure; empty where not looked for."
    )
    found = serializers.ListField(child=serializers.CharField())


class PieceSerializer(serializers.Serializer[Any]):
    """A stretch of text as the model sees it."""

    text = serializers.CharField(trim_whitespace=False)
    tokens = serializers.IntegerField()
    learnt = serializers.BooleanField(help_text="Whether its tokens carry loss.")


class RowSerializer(serializers.Serializer[Any]):
    """One row: the value of the file, its turns, and why it is dropped if it is."""

    number = serializers.IntegerField(help_text="From 1.")
    line = serializers.IntegerField(help_text="Line of the uploaded file.")
    size = serializers.IntegerField(help_text="Bytes of the row as JSON.")
    value = serializers.JSONField(help_text="Null when the row is too long to be shown.")
    turns = TurnSerializer(many=True)
    problem = serializers.CharField()
    warnings = serializers.ListField(child=serializers.CharField())
    facts = FactsSerializer(allow_null=True, help_text="Null until the version is counted.")
    tokens = PieceSerializer(
        many=True,
        allow_null=True,
        help_text="The first 800 stretches, where they are asked for. Where the words of the chat"
        " template are not known (`words_known` of `tokenizers`), they are ChatML's.",
    )
    decision = DecisionSerializer(
        allow_null=True,
        help_text="What members decided and did not save yet; `value` is as in the version.",
    )


class RowsSerializer(serializers.Serializer[Any]):
    """A page of rows."""

    count = serializers.IntegerField(help_text="Rows in all.")
    matching = serializers.IntegerField(help_text="Rows that the filters leave.")
    start = serializers.IntegerField(help_text="Number of the first row looked at, from 1.")
    next_from = serializers.IntegerField(allow_null=True, help_text="Where to go on; null: end.")
    looked = serializers.IntegerField(help_text="Rows a search has passed.")
    state = serializers.ChoiceField(
        ["done", "waiting", "failed"],
        help_text="`waiting` while a column is gone through, with `percent`: ask again, there are"
        " no rows yet. `failed`: see `problem`.",
    )
    percent = serializers.IntegerField()
    problem = serializers.CharField()
    results = RowSerializer(many=True)


class RowsMixin(GenericViewSet[DatasetVersion]):
    """Rows of versions."""

    @extend_schema(
        parameters=[
            DATASET,
            FROM,
            COUNT,
            OpenApiParameter("search", str),
            OpenApiParameter("flag", str, enum=list(FLAG_NAMES)),
            OpenApiParameter("language", str, enum=[name for name in LANGUAGE_NAMES if name]),
            OpenApiParameter("shortest", int, description="Tokens; characters without tokenizer."),
            OpenApiParameter("longest", int),
            OpenApiParameter(
                "order",
                str,
                description="`short` or `long`; or by a column, as `up:score` or `down:score`:"
                " numbers, then texts, then rows without a value.",
            ),
            OpenApiParameter(
                "column",
                str,
                many=True,
                description=f"Of a condition; up to {CONDITIONS_MAX}, all of which a row must meet."
                " Each has its `op` and its `value`, in the same order.",
            ),
            OpenApiParameter(
                "op",
                str,
                many=True,
                enum=list(OPERATORS),
                description="`is`, `isnt`, `least`, `most` compare with a number or a text as it is"
                " written, `contains` looks for a text whatever its case.",
            ),
            OpenApiParameter(
                "value", str, many=True, description="Empty for the operators `empty` and `filled`."
            ),
            OpenApiParameter("cutoff", int, description="The limit of the flag `cut`."),
            OpenApiParameter(
                "decision",
                str,
                enum=list(DECISION_NAMES),
                description="Rows that members decided on and did not save yet; none for others.",
            ),
            OpenApiParameter(
                "tokens",
                bool,
                description="Each row also as tokens of the check; for those who are logged in.",
            ),
            OpenApiParameter(
                "tokenizer",
                OpenApiTypes.UUID,
                description="One of `tokenizers`: each row also as tokens of this one.",
            ),
        ],
        responses=RowsSerializer,
        filters=False,
    )
    @action(detail=True, pagination_class=None)
    def rows(self, request: Request, **kwargs: Any) -> Response:
        """Rows in pages. A search looks for about half a second; `next_from` is where to go on.

        Filters by finding, language and length and the orders by length need statistics: before,
        they are as if they were not asked for.
        """
        version, query = self.get_object(), request.query_params
        if not version.rows_path.exists():
            return Response(_page_shown(Page([], 0, 0, 0, None), services.Standing(), {}))
        choice = choice_of(query, version.file_columns)
        if begun := unfinished(query):
            raise DomainError(
                _("The condition on the column “%(column)s” has no value to compare with.")
                % {"column": begun.column},
                field="value",
                code="incomplete",
            )
        draft = Revision.objects.visible_to(request.user).drafts().filter(version=version).first()
        page, standing = rows_asked(
            version,
            choice=choice,
            decision=query.get("decision", ""),
            words=text_of(query, "search"),
            start=number_of(request, "from", 1) - 1,
            count=min(number_of(request, "page_size", 20), PAGE_MAX),
            draft=draft,
            by=request.user,
        )
        tokenizer = _tokenizer_asked(request)
        if tokenizer:
            page = replace(page, rows=rows_as_tokens(page.rows, tokenizer))
        return Response(_page_shown(page, standing, _decisions(draft, page)))


def _tokenizer_asked(request: Request) -> Tokenizer | None:
    """The tokenizer to show rows with; None where nobody wants their tokens, or may have them."""
    if not request.user.is_authenticated:
        return None
    if found := tokenizer_named(request.user, request.query_params.get("tokenizer", "")):
        return found
    wants = request.query_params.get("tokens", "") in {"true", "1"}
    return tokenizer_of_check() if wants else None


def _decisions(draft: Revision | None, page: Page) -> dict[int, RowDecision]:
    """What a draft decides about the rows of a page, by number."""
    numbers = [row.number - 1 for row in page.rows]
    found = RowDecision.objects.effective().filter(revision=draft, row__in=numbers)
    return {one.number: one for one in found.select_related("by")} if draft else {}


def number_of(request: Request, name: str, default: int) -> int:
    """A whole number of the address, at least 1."""
    number = whole(request.query_params.get(name, ""))
    return default if number is None else max(number, 1)


def _page_shown(
    page: Page, standing: services.Standing, decisions: dict[int, RowDecision]
) -> dict[str, Any]:
    return {
        "count": page.total,
        "matching": page.matching,
        "start": page.start + 1,
        "next_from": page.next_start + 1 if page.next_start is not None else None,
        "looked": page.looked,
        "state": standing.state,
        "percent": standing.percent,
        "problem": standing.problem,
        "results": [_row_shown(row, decisions.get(row.number)) for row in page.rows],
    }


def _row_shown(row: ShownRow, decision: RowDecision | None) -> dict[str, Any]:
    return {
        "number": row.number,
        "line": row.line,
        "size": row.size,
        "value": None if row.too_long else orjson.loads(row.raw),
        "turns": [
            {"role": turn.role, "text": turn.text, "learnt": turn.learnt} for turn in row.turns
        ],
        "problem": row.problem,
        "warnings": row.warnings,
        "facts": _facts_shown(row.facts) if row.facts else None,
        "tokens": [
            {"text": one.text, "tokens": one.tokens, "learnt": one.learnt}
            for one in row.seen.pieces
        ]
        if row.seen
        else None,
        "decision": DecisionSerializer(decision).data if decision else None,
    }


def _facts_shown(facts: RowFacts) -> dict[str, Any]:
    return {
        "length": facts.length,
        "estimated": facts.estimated,
        "turns": facts.turns,
        "language": facts.language,
        "found": facts.found,
    }
