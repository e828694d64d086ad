"""Filters and tags that every template may use without loading them."""

import math
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import lucide as icons
from django import forms, template
from django.conf import settings
from django.contrib.humanize.templatetags.humanize import intcomma
from django.forms import BoundField
from django.http import QueryDict
from django.template.context import Context
from django.templatetags.static import static
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeData, SafeString, mark_safe
from django.utils.translation import get_language, gettext_noop

from accounts.texts import event_sentence
from common.phrases import gettext as _

register = template.Library()

NOTHING = "–"
# What the scripts in static/src say; every phrase of `say()` stands here to be translated.
SCRIPT_WORDS = (
    gettext_noop("just now"),
    gettext_noop("%s min ago"),
    gettext_noop("%s h ago"),
    gettext_noop("%s days ago"),
    gettext_noop("yesterday"),
    gettext_noop("Copied"),
    gettext_noop("Copying is not allowed here. Select the text and copy it yourself."),
    gettext_noop("The server does not answer. Trying again."),
    gettext_noop(
        "The server does not answer. What has arrived is kept: upload again to go on from there."
    ),
    gettext_noop(
        "What had arrived of this file is not kept any more. It is sent from the beginning."
    ),
    gettext_noop("Nothing to draw yet"),
    gettext_noop("smooth"),
    gettext_noop("linear"),
    gettext_noop("log"),
    gettext_noop("step"),
    gettext_noop("Whole range"),
    gettext_noop("Search the log"),
    gettext_noop("Follow"),
    gettext_noop("Full screen"),
    gettext_noop("Download"),
    gettext_noop("Load earlier"),
    gettext_noop("Next match"),
    gettext_noop("Previous match"),
    gettext_noop("live"),
    gettext_noop("ended"),
    gettext_noop("connecting"),
    gettext_noop("not connected, trying again"),
    gettext_noop("no match"),
    gettext_noop("not to be read"),
)
MINUTE, HOUR, DAY = 60, 3600, 86400


def _two_figures(value: float) -> str:
    """8.1, 64, 812: one decimal below ten unless it is zero."""
    if value >= 9.95:
        return str(round(value))
    return f"{value:.1f}".removesuffix(".0")


@register.filter
def bytes_short(value: float | str | None) -> str:
    """A size in bytes as two figures: `64 MB`, `8.1 GB`; units are powers of 1024."""
    if value is None or value == "":
        return NOTHING
    size = float(value)
    for unit in ("B", "KB", "MB", "GB"):
        if abs(size) < 1023.5:
            return f"{_two_figures(size)} {unit}"
        size /= 1024
    return f"{_two_figures(size)} TB"


@register.filter
def duration(value: float | timedelta | None) -> str:
    """Seconds or a timedelta in at most two units: `42 s`, `21 min`, `3 h 10 min`, `2 d 4 h`."""
    if value is None or value == "":
        return NOTHING
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    seconds = max(0, seconds)
    if seconds < MINUTE:
        return _("%(n)s s") % {"n": _two_figures(seconds) if seconds < 1 else round(seconds)}
    minutes = round(seconds / MINUTE)
    if minutes < 60:
        return _("%(n)s min") % {"n": minutes}
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return _join(_("%(n)s h") % {"n": hours}, minutes and _("%(n)s min") % {"n": minutes})
    days, hours = divmod(hours, 24)
    return _join(_("%(n)s d") % {"n": days}, hours and _("%(n)s h") % {"n": hours})


def _join(first: str, second: str | int) -> str:
    return f"{first} {second}" if second else first


@register.filter
def ago(value: datetime | None) -> str:
    """A past moment relative to now, in a `<time>` that the browser keeps fresh.

    On hover it says the moment itself.
    """
    if not value:
        return NOTHING
    return format_html(
        '<time datetime="{}" title="{}" data-ago>{}</time>',
        value.isoformat(),
        date_format(timezone.localtime(value), "DATETIME_FORMAT"),
        _relative(value),
    )


def _relative(value: datetime) -> str:
    seconds = (timezone.now() - value).total_seconds()
    if seconds < MINUTE:
        return _("just now")
    if seconds < HOUR:
        return _("%(n)s min ago") % {"n": int(seconds / MINUTE)}
    if seconds < DAY:
        return _("%(n)s h ago") % {"n": int(seconds / HOUR)}
    if seconds < 2 * DAY:
        return _("yesterday")
    if seconds < 7 * DAY:
        return _("%(n)s days ago") % {"n": int(seconds / DAY)}
    return date_format(timezone.localtime(value), "SHORT_DATE_FORMAT")


@register.filter
def clock(value: datetime | None) -> str:
    """A moment as a `<time>` that the browser shows in the reader's own zone.

    `10:02` for today's, with the day for others.
    """
    if not value:
        return NOTHING
    local = timezone.localtime(value)
    same_day = local.date() == timezone.localdate()
    text = local.strftime("%H:%M") if same_day else date_format(local, "SHORT_DATETIME_FORMAT")
    return format_html(
        '<time datetime="{}" title="{}" data-clock>{}</time>',
        value.isoformat(),
        date_format(local, "DATETIME_FORMAT"),
        text,
    )


@register.filter
def number_short(value: float | str | None) -> str:
    """A count: `12,480`, `3.9 M`, `4 B`; by 万 and 亿 where the reader counts so."""
    if value is None or value == "":
        return NOTHING
    number = float(value)
    if (get_language() or "").startswith("zh"):
        if abs(number) >= 1e8:
            return f"{_two_figures(number / 1e8)} 亿"
        if abs(number) >= 1e6:
            return f"{_two_figures(number / 1e4)} 万"
    elif abs(number) >= 1e9:
        return f"{_two_figures(number / 1e9)} B"
    elif abs(number) >= 1e6:
        return f"{_two_figures(number / 1e6)} M"
    return str(intcomma(int(number) if number == int(number) else number))


@register.filter
def metric(value: float | str | None) -> str:
    """A loss, a rate or a score in the digits that matter: `0.742`, `4.1e-5`, `41.2`, `11,820`."""
    if value is None or value == "" or isinstance(value, bool):
        return NOTHING
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    if not math.isfinite(number):
        return str(number)
    size = abs(number)
    if number == int(number) and size < 1e15:
        return str(intcomma(int(number)))
    if size < 1e-3:
        mantissa, exponent = f"{number:.1e}".split("e")
        return f"{mantissa.removesuffix('.0')}e{int(exponent)}"
    if size < 10:
        return f"{number:.3f}"
    return f"{number:.1f}" if size < 1000 else str(intcomma(round(number)))


@register.simple_tag(takes_context=True)
def query(context: Context, **changes: Any) -> str:
    """The page's query string with some values changed; None or empty takes one out."""
    request = context.get("request")
    found = request.GET.copy() if request else QueryDict(mutable=True)
    for name, value in changes.items():
        if value in (None, ""):
            found.pop(name, None)
        else:
            found[name] = str(value)
    return f"?{found.urlencode()}"


@register.simple_tag
def bar(percent: object = 0, label: str = "", kind: str = "", thick: object = "") -> SafeString:
    """A bar of a share, as the component `c-bar` draws it; for pages with dozens of them."""
    return format_html(
        '<div class="bar{}{}" role="progressbar" aria-valuemin="0" aria-valuemax="100"'
        ' aria-valuenow="{}"{}><i style="width:{}%"></i></div>',
        f" {kind}" if kind else "",
        " thick" if thick else "",
        str(percent or 0),
        format_html(' aria-label="{}"', label) if label else "",
        str(percent or 0),
    )


@register.simple_tag
def lucide(name: str, *, size: int = 18, **attributes: Any) -> SafeString:
    """An icon by its Lucide name.

    Hidden from screen readers: the words beside it or the button's name speak.
    """
    attributes.setdefault("class", "icon")
    attributes.setdefault("aria_hidden", "true")
    return _drawn(name, size, tuple((key, str(value)) for key, value in attributes.items()))


@lru_cache(maxsize=1024)  # a page has dozens of them, and they are always the same
def _drawn(name: str, size: int, attributes: tuple[tuple[str, str], ...]) -> SafeString:
    drawing = icons._render_icon(name, size, **dict(attributes))
    return mark_safe(drawing)  # noqa: S308  drawn by the icon set; attribute values are escaped there


@lru_cache(maxsize=1)
def _module_names() -> tuple[str, ...]:
    built = Path(settings.STATICFILES_DIRS[0])
    return tuple(
        sorted(path.name for path in built.glob("*.js") if path.name not in {"app.js", "theme.js"})
    )


@register.simple_tag
def script_data() -> dict[str, dict[str, str]]:
    """What the scripts need: their words in the reader's language, and where the modules are."""
    names = _module_names.__wrapped__() if settings.DEBUG else _module_names()
    return {
        "words": {english: _(english) for english in SCRIPT_WORDS},
        "modules": {Path(name).stem: static(name) for name in names},
    }


@register.filter
def initials(value: object) -> str:
    """At most two letters that stand for a name."""
    words = str(value).replace("-", " ").replace("_", " ").replace(".", " ").split()
    if not words:
        return "?"
    letters = words[0][:1] + words[1][:1] if len(words) > 1 else words[0][:2]
    return letters.upper()


@register.filter
def trim(value: object) -> str:
    """Without the blanks around it."""
    return str(value).strip()


@register.filter
def sentence(value: object) -> str:
    """Begins with a capital letter; blanks before it go. What is safe stays safe."""
    text = str(value).strip()
    text = text[:1].upper() + text[1:]
    return mark_safe(text) if isinstance(value, SafeData) else text  # noqa: S308


@register.filter
def styled(field: BoundField) -> SafeString:
    """A form field's control with our classes and its description and error tied to it."""
    widget = field.field.widget
    kind = getattr(widget, "input_type", "")
    if isinstance(widget, forms.CheckboxSelectMultiple | forms.RadioSelect):
        look = ""
    elif kind in {"checkbox", "radio"}:
        look = "form-check-input"
    else:
        look = "form-select" if isinstance(widget, forms.Select) else "form-control"
    classes = [look, str(widget.attrs.get("class", ""))]
    if field.errors and look:
        classes.append("is-invalid")
    attributes: dict[str, str | bool] = {"class": " ".join(filter(None, classes))}
    described = [f"{field.auto_id}_error"] if field.errors else []
    if field.help_text:
        described.append(f"{field.auto_id}_helptext")
    if described:
        attributes["aria-describedby"] = " ".join(described)
    return field.as_widget(attrs=attributes)


@register.simple_tag(takes_context=True)
def page_query(context: Context, name: str, number: int) -> str:
    """The page's query string with its page number changed; other names than `page` may hold it."""
    return query(context, **{name: number})


@register.filter
def event_text(event: Any) -> str:
    """What happened in words."""
    return event_sentence(event)
