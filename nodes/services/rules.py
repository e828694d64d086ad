"""When trouble counts as such. What operators have not changed stands here."""

from dataclasses import dataclass

from django.db import transaction

from accounts.models import User
from accounts.services import event_record
from common.errors import DomainError
from common.phrases import gettext as _
from nodes.models import AlertRule
from nodes.services.checks import number, whole

Kind = AlertRule.Kind
EXCLUSION_HOURS = 24  # in which errors of a GPU are counted together


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a rule says by itself, what it may say, and in which unit.

    `falling` rules speak when a figure is at most the threshold, the others when it is at least
    that. The figure of a clear is on the other side, or the threshold itself.
    """

    threshold: float
    clear: float
    hold_seconds: int
    unit: str
    low: float
    high: float
    falling: bool = False


BOUNDS: dict[str, Bounds] = {
    Kind.SILENCE: Bounds(60, 60, 0, "s", 20, 86_400),
    Kind.HEAT: Bounds(88, 83, 60, "°C", 30, 150),
    Kind.DISK: Bounds(90, 85, 60, "%", 1, 100),
    Kind.ECC: Bounds(1, 1, 0, "", 1, 1e6),
    Kind.IDLE: Bounds(5, 10, 3600, "%", 0, 99, falling=True),
    Kind.CLOCK: Bounds(60, 30, 0, "s", 1, 86_400),
    Kind.EXCLUSION: Bounds(3, 3, 0, "", 1, 1000),
    Kind.LOSS: Bounds(1, 1, 0, "", 1, 1),
}


def rule(kind: str) -> AlertRule:
    """The rule as it stands: what operators set, or else what it says by itself."""
    found = AlertRule.objects.filter(kind=kind).first()
    return found or _unchanged(kind)


def rules() -> list[AlertRule]:
    """All of them, in the order in which they are shown."""
    changed = {row.kind: row for row in AlertRule.objects.all()}
    return [changed.get(kind) or _unchanged(kind) for kind in BOUNDS]


def _unchanged(kind: str) -> AlertRule:
    bounds = BOUNDS[kind]
    return AlertRule(
        kind=kind,
        threshold=bounds.threshold,
        clear=bounds.clear,
        hold_seconds=bounds.hold_seconds,
    )


@transaction.atomic
def rule_set(
    kind: str,
    *,
    by: User,
    is_enabled: bool,
    threshold: float,
    clear: float,
    hold_seconds: int,
) -> AlertRule:
    """Changes a rule. Raises DomainError for figures that make no sense together."""
    bounds = BOUNDS[kind]
    threshold = number("threshold", threshold, low=bounds.low, high=bounds.high)
    clear = number("clear", clear, low=0, high=bounds.high)
    hold_seconds = whole("hold_seconds", hold_seconds, high=30 * 86_400)
    if clear < threshold if bounds.falling else clear > threshold:
        raise DomainError(
            _("It can be over only where the trouble has gone: choose at least %(limit)s.")
            % {"limit": f"{threshold:g}"}
            if bounds.falling
            else _("It can be over only where the trouble has gone: choose at most %(limit)s.")
            % {"limit": f"{threshold:g}"},
            field="clear",
        )
    values = {
        "is_enabled": is_enabled,
        "threshold": threshold,
        "clear": clear,
        "hold_seconds": hold_seconds,
    }
    found, _made = AlertRule.objects.update_or_create(kind=kind, defaults=values)
    event_record(found, project=None, actor=by, verb="rule", data={"kind": kind, **values})
    return found


def rules_seed() -> None:
    """A row for each rule, so that operators find all of them; changes nothing that is there."""
    known = set(AlertRule.objects.values_list("kind", flat=True))
    missing = [_unchanged(kind) for kind in BOUNDS if kind not in known]
    AlertRule.objects.bulk_create(missing, ignore_conflicts=True)
