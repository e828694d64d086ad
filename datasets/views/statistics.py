"""The page of what a version's rows are like."""

import math
from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from common.htmx import HtmxRequest, wants_fragment
from common.phrases import gettext as _
from common.phrases import load
from datasets.choices import LANGUAGE_NAMES
from datasets.contamination import overlaps_seen
from datasets.lengths import Lengths, lengths_by, tokenizer_named
from datasets.models import DatasetVersion
from datasets.recipes.kinds.cleaning import CLEAN
from datasets.recipes.words import MASKED
from datasets.statistics.counting import TURNS_MAX
from datasets.views.shared import tokenizers_shown, version_context, version_page

BARS = 64
STEP = {  # the parameter of the recipe step Clean that drops outliers of a kind
    "short": "min_chars",
    "long": "max_chars",
    "symbols": "max_symbols",
    "repetition": "max_repetition",
    "language": "languages",
}
UNCOUNTED: dict[str, Promise] = {
    "nothing": gettext_lazy("no values"),
    "nested": gettext_lazy("lists and objects are not counted"),
    "texts": gettext_lazy("long texts that hardly repeat"),
    "varied": gettext_lazy("values hardly repeat"),
    "single": gettext_lazy("always the same value"),
}
FAR = 4  # times the longest row


@version_page
def version_statistics(request: HtmxRequest, version: DatasetVersion) -> HttpResponse:
    """Numbers and pictures of the rows; while they are counted, how far that is."""
    part = wants_fragment(request.htmx)
    if part and version.statistics is None:
        return render(request, "datasets/_statistics_state.html", {"version": version})
    context = version_context(request, version, "statistics")
    cutoff = context["outlook"].get("cutoff", 0)
    tokenizer = tokenizer_named(request.user, request.GET.get("tokenizer", ""))
    lengths = None
    if tokenizer and version.is_counted:
        lengths = lengths_by(version, tokenizer, cutoff, by=request.user)
    if request.htmx.target == "near-state" and near_of(version)["state"] == "waiting":
        return render(request, "datasets/_near_state.html", context | {"near": near_of(version)})
    if part and lengths and lengths.state == "waiting":
        return render(request, "datasets/_tokens_state.html", context | {"lengths": lengths})
    context |= statistics_shown(version)
    if version.is_counted:
        context["length"] = _length(request, version, lengths, context["outlook"])
    seen = overlaps_seen(version, request.user)
    context["overlaps"] = [one for one in seen if one.state != "done" or one.both]
    context["clean_sets"] = [one for one in seen if one not in context["overlaps"]]
    response = render(request, "datasets/version_statistics.html", context)
    if part:
        response["HX-Refresh"] = "true"
    return response


def _length(
    request: HtmxRequest, version: DatasetVersion, chosen: Lengths | None, outlook: dict[str, Any]
) -> dict[str, Any]:
    """Lengths by the chosen tokenizer, else by the check's; and what there is to choose from."""
    found = chosen.found if chosen else version.counts["lengths"]
    cut = chosen.cut if chosen else outlook.get("cut", 0)
    return {
        "chosen": chosen,
        "offered": tokenizers_shown(request.user, version, chosen.tokenizer if chosen else None),
        "found": found,
        "cut": cut,
        "cut_percent": 100 * cut / max(version.rows, 1),
        "picture": histogram(found, outlook.get("cutoff", 0)) if found else {},
    }


def statistics_shown(version: DatasetVersion) -> dict[str, Any]:
    """What the page draws."""
    found = version.statistics
    if not found or "error" in found:
        return {"failed": load(found["error"]) if found else ""}
    looked = found["looked"]
    return {
        "found": found,
        "is_sample": looked < found["rows"],
        "in_tokens": found["lengths"]["unit"] == "tokens",
        "turns": _bars(
            [(f"{n}+" if n == TURNS_MAX else n, count) for n, count in found["turns"]],
            found["usable"],
        ),
        "languages": _bars(
            [(LANGUAGE_NAMES[name], count) for name, count in found["languages"].items()], looked
        ),
        "personal": [(MASKED[kind], n) for kind, n in found["personal"]["kinds"].items()],
        "balance": [{**one, "bars": _shares(one)} for one in found["balance"]],
        "gaps": [
            {
                **one,
                "percent": 100 * (one["missing"] + one["empty"]) / max(found["rows"], 1),
                "why": UNCOUNTED.get(one.get("uncounted", ""), ""),
            }
            for one in found["columns"]
        ],
        "outliers": _outliers(version),
        "outliers_step": _step_dropping(found.get("outliers", [])),
        "duplicate_percent": 100 * found["duplicates"] / max(found["rows"], 1),
        "near": near_of(version),
        "personal_percent": 100 * found["personal"]["rows"] / max(looked, 1),
    }


def _outliers(version: DatasetVersion) -> list[dict[str, Any]] | None:
    """Kinds of outliers; None where they are yet to be counted."""
    found = version.counts.get("outliers")
    if found is None:
        return None
    return [_named(one) if one["kind"] == "language" else one for one in found]


def _named(languages: dict[str, Any]) -> dict[str, Any]:
    """Outliers by language, with these in words."""
    rows = [{**row, "value": LANGUAGE_NAMES[row["value"]]} for row in languages["examples"]]
    names = [LANGUAGE_NAMES[name] for name in languages["bound"]]
    return {**languages, "names": names, "examples": rows}


def _step_dropping(found: list[dict[str, Any]]) -> str:
    """The part of an address that proposes a recipe step which drops what was found."""
    bounds = [(STEP[one["kind"]], one["bound"]) for one in found if one["rows"]]
    return urlencode([("step", CLEAN.name), *bounds], doseq=True) if bounds else ""


def _shares(column: dict[str, Any]) -> list[dict[str, Any]]:
    """Bars of a column's values, and one of all others."""
    others = column.get("others", 0)
    total = sum(count for _value, count in column["values"]) + others
    rest = _bars([(_("others"), others)] if others else [], total)
    return _bars(column["values"], total) + [{**bar, "is_rest": True} for bar in rest]


def near_of(version: DatasetVersion) -> dict[str, Any]:
    """The near duplicates of a counted version. `state` is `waiting`, `failed` or `done`."""
    found = version.counts.get("near")
    if found is None:
        return {"state": "waiting"}
    if "error" in found:
        return {"state": "failed", "problem": load(found["error"])}
    percent = 100 * found["rows"] / max(found["looked"], 1)
    drawn = found["looked"] < version.counts["rows"]
    return {**found, "state": "done", "percent": percent, "is_sample": drawn}


def _bars(counts: list[Any], total: int) -> list[dict[str, Any]]:
    return [
        {"name": name, "count": count, "percent": 100 * count / max(total, 1)}
        for name, count in counts
    ]


def histogram(lengths: dict[str, Any], cutoff: int) -> dict[str, Any]:
    """Bars of equal steps that show 99 of 100 rows and the cut-off line; the last holds the rest.

    Places and heights are shares of the picture, in percent. A line far beyond the longest row is
    left out: with it, all rows would be one bar.
    """
    buckets = lengths["buckets"]
    if not buckets:
        return {}
    in_tokens = lengths["unit"] == "tokens"
    has_line = in_tokens and 0 < cutoff <= FAR * lengths["max"]
    top = max(lengths["p99"], int(cutoff * 1.25) if has_line else 0, 1)
    step = math.ceil((top + 1) / BARS)
    counts = [0] * BARS
    for length, count in buckets:
        counts[min(length // step, BARS - 1)] += count
    most = max(counts)
    width = 100 / BARS
    end = step * BARS
    return {
        "bars": [
            {
                "x": round(place * width, 3),
                "y": round(100 - 100 * count / most, 2),
                "height": round(100 * count / most, 2),
                "count": count,
                "from": place * step,
                "over": has_line and place * step >= cutoff,
            }
            for place, count in enumerate(counts)
            if count
        ],
        "width": round(width * 0.86, 3),
        "cut": round(100 * cutoff / end, 3) if has_line else None,
        "ticks": [round(end * share / 4) for share in range(5)],
        "in_tokens": in_tokens,
    }
