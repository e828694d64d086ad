"""The page of a version's rows."""

from dataclasses import dataclass, replace
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from common.errors import DomainError
from common.htmx import HtmxRequest, wants_fragment
from common.phrases import gettext as _
from common.texts import text_of, whole
from datasets.browsing import rows_asked
from datasets.choices import (
    CONDITIONS_MAX,
    DECISION_NAMES,
    FLAG_NAMES,
    LANGUAGE_NAMES,
    OPERATOR_NAMES,
    ORDER_NAMES,
    WORDS_MAX,
    choice_of,
    unfinished,
)
from datasets.lengths import tokenizer_named, tokenizer_of_check
from datasets.models import DatasetVersion, Revision
from datasets.previews import Page, rows_as_tokens, rows_decided
from datasets.services.edits import RATINGS
from datasets.statistics.choosing import Choice
from datasets.statistics.indexes import Condition
from datasets.views.shared import tokenizers_shown, version_context, version_page

ROWS_PER_PAGE = 10


@dataclass(frozen=True, slots=True)
class Further:
    """Where a search that the page carries on by itself is: the row from which it looks on (from
    1), how many rows the page has room for still, and whether the reader stops it.
    """

    start: int
    room: int = ROWS_PER_PAGE
    stopped: bool = False


@version_page
def version_rows(request: HtmxRequest, version: DatasetVersion) -> HttpResponse:
    """Rows in pages, as conversations, as tokens or as they are in the file, with search."""
    further = _further_taken(request)
    context = version_context(request, version, "rows")
    if version.rows_path.exists() and version.state != DatasetVersion.State.BROKEN:
        context |= rows_context(request, version, further)
    template = "datasets/version_rows.html"
    if wants_fragment(request.htmx):
        template = "datasets/_row_list.html" if further else "datasets/_version_rows.html"
    return render(request, template, context, status=422 if context.get("unmet") else 200)


def _further_taken(request: HttpRequest) -> Further | None:
    """How a search goes on; taken out of the address, which stays that of the page."""
    query = request.GET.copy()
    start, room, stop = ((query.pop(name, None) or [""])[-1] for name in ("on", "room", "stop"))
    request.GET = query  # type: ignore[assignment]  # nothing changes it after this
    if not (place := whole(start)):
        return None
    return Further(place, min(whole(room) or ROWS_PER_PAGE, ROWS_PER_PAGE), bool(stop))


def rows_context(
    request: HttpRequest, version: DatasetVersion, further: Further | None = None
) -> dict[str, Any]:
    """The rows that the address asks for, with what members decided about them."""
    search = text_of(request.GET, "q")
    start, decision = whole(request.GET.get("from", "")) or 1, request.GET.get("decision", "")
    choice, begun, unmet = Choice(), None, ""
    try:
        choice = choice_of(request.GET, version.file_columns)
        begun = unfinished(request.GET)
    except DomainError as refused:
        unmet = refused.message
    shown = choice
    if (row := whole(request.GET.get("row", ""))) and not search:
        start, shown, decision = row, Choice(), ""
    further = further or Further(start)
    view = request.GET.get("view", "")
    draft = Revision.objects.visible_to(request.user).drafts().filter(version=version).first()
    page, standing = rows_asked(
        version,
        choice=shown,
        decision=decision,
        words=search,
        start=further.start - 1,
        count=further.room,
        draft=draft,
        by=request.user,
    )
    page = replace(page, rows=rows_decided(version, draft, page.rows))
    seen: dict[str, Any] = {}
    if view == "tokens":
        page, seen = _as_tokens(request, version, page)
    room = further.room - len(page.rows)
    more = page.next_start is not None
    may_go_on = request.user.is_authenticated and not further.stopped
    return (
        seen
        | _form_context(request, version, choice)
        | {
            "draft": draft,
            "stars": RATINGS,
            "rows": page,
            "standing": standing,
            "first": page.start + 1,
            "last": page.start + len(page.rows),
            "previous_from": max(page.start - ROWS_PER_PAGE, 0) + 1 if page.start else None,
            "next_from": page.next_start + 1 if page.next_start is not None else None,
            "search": search,
            "room": room,
            "goes_on": search and room > 0 and more and may_go_on,
            "looked_percent": 100 * page.looked // max(page.total, 1),
            "is_empty": room == ROWS_PER_PAGE and not more,
            "view": view if view in {"raw", "tokens"} else "",
            "unmet": unmet,
            "begun": begun,
            "decision": decision,
            "decisions": DECISION_NAMES if draft or decision in DECISION_NAMES else {},
            "narrowed": shown.filters or shown.order or decision in DECISION_NAMES,
        }
    )


def _form_context(request: HttpRequest, version: DatasetVersion, choice: Choice) -> dict[str, Any]:
    """What the form above the rows offers, and what of it is chosen."""
    return {
        "choice": choice,
        "conditions": [_shown(request, choice, one) for one in choice.where],
        "has_room": len(choice.where) < CONDITIONS_MAX,
        "value_max": WORDS_MAX,
        "operators": OPERATOR_NAMES,
        "flags": FLAG_NAMES,
        "languages": LANGUAGE_NAMES,
        "orders": _orders(version),
        "order": f"{choice.order}:{choice.by}" if choice.by else choice.order,
        "in_tokens": version.counts.get("lengths", {}).get("unit") == "tokens",
        "near_waits": choice.flag == "near" and not version.counts.get("near"),
        "only_looked": choice.flag in {"personal", "unusual"} or bool(choice.language),
    }


def _shown(request: HttpRequest, choice: Choice, condition: Condition) -> dict[str, Any]:
    """A condition, and the address without it."""
    query = request.GET.copy()
    others = [one for one in choice.where if one != condition]
    query.setlist("column", [one.column for one in others])
    query.setlist("op", [one.operator for one in others])
    query.setlist("value", [one.value for one in others])
    query.pop("from", None)
    name = OPERATOR_NAMES[condition.operator]
    return {"it": condition, "operator": name, "without": f"?{query.urlencode()}"}


def _orders(version: DatasetVersion) -> dict[str, Any]:
    """The orders that there are, by what an address says."""
    found: dict[str, Any] = dict(ORDER_NAMES) if version.is_counted else {}
    for column in version.file_columns:
        found[f"up:{column}"] = _("%(column)s, ascending") % {"column": column}
        found[f"down:{column}"] = _("%(column)s, descending") % {"column": column}
    return found


def _as_tokens(
    request: HttpRequest, version: DatasetVersion, page: Page
) -> tuple[Page, dict[str, Any]]:
    """The rows as tokens, and the tokenizers that there are to choose from."""
    chosen = tokenizer_named(request.user, request.GET.get("tokenizer", ""))
    tokenizer, problem = chosen or tokenizer_of_check(), ""
    if not request.user.is_authenticated:
        problem = _("Log in to see rows as tokens.")
    elif tokenizer:
        try:
            page = replace(page, rows=rows_as_tokens(page.rows, tokenizer))
        except DomainError as refused:
            problem = refused.message
    return page, {
        "tokenizer": tokenizer,
        "unparted": problem,
        "offered": tokenizers_shown(request.user, version, chosen),
    }
