"""What a reader may choose of a version's rows, in words and in addresses."""

from collections.abc import Collection

from django.http import QueryDict
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

from common.errors import DomainError
from common.phrases import gettext as _
from common.texts import storable, whole
from datasets.recipes.languages import LANGUAGES as RECOGNISED
from datasets.statistics.choosing import COLUMN_ORDERS, CUT, FLAGS, ORDERS, Choice
from datasets.statistics.indexes import OPERATORS, TEXT_MAX, WITHOUT_VALUE, Condition
from datasets.statistics.languages import LANGUAGES

CUTOFF = 2048  # tokens, where the reader names no other limit
CONDITIONS_MAX = 5
WORDS_MAX = 200  # characters that a cell is to contain
FLAG_NAMES: dict[str, Promise] = {
    "dropped": gettext_lazy("dropped by the engine"),
    "warned": gettext_lazy("kept with a finding"),
    "cut": gettext_lazy("would be cut"),
    "duplicate": gettext_lazy("exact duplicates"),
    "near": gettext_lazy("near duplicates"),
    "personal": gettext_lazy("with personal data"),
    "unusual": gettext_lazy("unlike the others"),
}
LANGUAGE_NAMES: dict[str, str | Promise] = {
    **RECOGNISED,
    "mixed": gettext_lazy("Chinese and others mixed"),
    "other": gettext_lazy("other languages"),
    "unsure": gettext_lazy("not sure"),
    "": gettext_lazy("no letters"),
}
ORDER_NAMES: dict[str, Promise] = {
    "short": gettext_lazy("shortest first"),
    "long": gettext_lazy("longest first"),
}

DECISION_NAMES: dict[str, Promise] = {
    "any": gettext_lazy("decided on"),
    "rated": gettext_lazy("rated"),
    "changed": gettext_lazy("changed"),
    "excluded": gettext_lazy("left out"),
}


OPERATOR_NAMES: dict[str, Promise] = {
    "is": gettext_lazy("is"),
    "isnt": gettext_lazy("is not"),
    "contains": gettext_lazy("contains"),
    "least": gettext_lazy("is at least"),
    "most": gettext_lazy("is at most"),
    "empty": gettext_lazy("is empty"),
    "filled": gettext_lazy("is not empty"),
}


def choice_of(asked: QueryDict, columns: Collection[str]) -> Choice:
    """The choice that an address names, of rows with these columns.

    Findings, languages, lengths and orders that it does not know it leaves out. DomainError says
    what is wrong with a column, with its operator or its value.
    """
    flag, language, order = (asked.get(name, "") for name in ("flag", "language", "order"))
    direction, _colon, by = order.partition(":")
    if direction in COLUMN_ORDERS:
        _refuse_unknown(by, columns, field="order")
    else:
        direction, by = (order if order in ORDERS else ""), ""
    return Choice(
        flag=flag if flag in FLAGS or flag == CUT else "",
        language=language if language in LANGUAGES else "",
        shortest=whole(asked.get("shortest", "")),
        longest=whole(asked.get("longest", "")),
        order=direction,
        cutoff=whole(asked.get("cutoff", "")) or CUTOFF,
        where=_conditions(asked, columns),
        by=by,
    )


def unfinished(asked: QueryDict) -> Condition | None:
    """The condition that an address begins and that lacks a value still."""
    found = [one for one in _named(asked) if not _is_finished(one)]
    return found[-1] if found else None


def _conditions(asked: QueryDict, columns: Collection[str]) -> tuple[Condition, ...]:
    found = tuple(dict.fromkeys(filter(_is_finished, _named(asked))))
    if len(found) > CONDITIONS_MAX:
        raise DomainError(
            _("At most %(limit)s conditions on columns can be met at once. Take one away.")
            % {"limit": CONDITIONS_MAX},
            field="column",
            code="too_many",
        )
    for one in found:
        _refuse_unknown(one.column, columns, field="column")
        longest = WORDS_MAX if one.operator == "contains" else TEXT_MAX
        if len(one.value) > longest:
            raise DomainError(
                _("A value to compare with may have %(limit)s characters.") % {"limit": longest},
                field="value",
                code="too_long",
            )
    return found


def _named(asked: QueryDict) -> list[Condition]:
    """The conditions of an address: its columns, operators and values, each in the same order."""
    names, operators, values = (asked.getlist(name) for name in ("column", "op", "value"))
    if not len(names) == len(operators) == len(values):
        raise DomainError(
            _("Name a column, an operator and a value for each condition; the value may be empty."),
            field="column",
            code="incomplete",
        )
    found = []
    for column, operator, value in zip(names, operators, values, strict=True):
        if not column:
            continue
        if operator not in OPERATORS:
            raise DomainError(
                _("There is no operator “%(operator)s”. Take one of %(known)s.")
                % {"operator": storable(operator)[:40], "known": ", ".join(OPERATORS)},
                field="op",
                code="unknown_operator",
            )
        if "\0" in value:
            raise DomainError(
                _("A value to compare with may not hold a zero byte."),
                field="value",
                code="bad_text",
            )
        text = "" if operator in WITHOUT_VALUE else storable(value).strip()
        found.append(Condition(column, operator, text))
    return found


def _is_finished(condition: Condition) -> bool:
    return bool(condition.value) or condition.operator in WITHOUT_VALUE


def _refuse_unknown(column: str, columns: Collection[str], *, field: str) -> None:
    if not column or column not in columns:
        raise DomainError(
            _("The rows have no column “%(column)s”. Take one of the version's columns.")
            % {"column": storable(column)[:60]},
            field=field,
            code="unknown_column",
        )
