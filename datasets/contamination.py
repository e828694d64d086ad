"""What versions share with evaluation sets, as far as a reader may see these."""

from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import AnonymousUser

from accounts.models import User
from common.phrases import load
from datasets import services
from datasets.models import DatasetVersion


@dataclass(frozen=True)
class OverlapSeen:
    """An evaluation set, and what the version shares with it. `state`: waiting, done or failed."""

    version: DatasetVersion
    state: str
    problem: str = ""
    of: int = 0
    looked: int = 0
    exact: int = 0
    near: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def both(self) -> int:
        """Rows that ask the same, or nearly."""
        return self.exact + self.near


def overlaps_seen(version: DatasetVersion, user: User | AnonymousUser) -> list[OverlapSeen]:
    """All evaluation sets that the reader sees, the newest first."""
    wanted = [str(one) for one in services.evaluation_sets_of(version)]
    return _seen(version, wanted, user)


def overlaps_met(version: DatasetVersion, user: User | AnonymousUser) -> list[OverlapSeen]:
    """Only those that the version shares rows with."""
    met = [key for key, one in version.overlaps.items() if one.get("exact") or one.get("near")]
    return _seen(version, met, user)


def _seen(
    version: DatasetVersion, wanted: list[str], user: User | AnonymousUser
) -> list[OverlapSeen]:
    if not wanted:
        return []
    sets = DatasetVersion.objects.visible_to(user).filter(pk__in=wanted).order_by("-created_at")
    return [
        _one(other, version.overlaps.get(str(other.pk)))
        for other in sets.select_related("dataset").defer("report", "statistics", "overlaps")
    ]


def _one(other: DatasetVersion, found: dict[str, Any] | None) -> OverlapSeen:
    if found is None:
        return OverlapSeen(other, "waiting")
    if "error" in found:
        return OverlapSeen(other, "failed", problem=load(found["error"]))
    return OverlapSeen(other, "done", **found)
