"""How far reviewers agree, and how much of that is more than chance.

Percent agreement; Krippendorff's alpha for nominal data, which takes any number of reviewers and
rows that not all of them saw (K. Krippendorff, "Computing Krippendorff's Alpha-Reliability", 2011);
and of two reviewers Cohen's kappa (J. Cohen, "A Coefficient of Agreement for Nominal Scales",
1960).
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping
from itertools import combinations
from typing import Any

from datasets.models import Revision

Unit = Mapping[Hashable, Hashable]  # reviewer -> verdict on one row


def percent_agreement(units: Iterable[Unit]) -> float | None:
    """Share of pairs of verdicts on the same row that are the same; None without any pair."""
    same = total = 0
    for unit in units:
        for one, other in combinations(unit.values(), 2):
            same += one == other
            total += 1
    return same / total if total else None


def krippendorff_alpha(units: Iterable[Unit]) -> float | None:
    """1 - observed / expected disagreement: 1 is perfect, 0 chance; None where all said the same.

    By the matrix of coincidences: each row counts its pairs of verdicts by 1 / (verdicts - 1).
    """
    coincidences: defaultdict[tuple[Hashable, Hashable], float] = defaultdict(float)
    for unit in units:
        verdicts = Counter(unit.values())
        size = verdicts.total()
        if size < 2:
            continue
        for one, count in verdicts.items():
            for other, more in verdicts.items():
                pairs = count * (more - 1 if one == other else more)
                coincidences[one, other] += pairs / (size - 1)
    totals: defaultdict[Hashable, float] = defaultdict(float)
    for (one, _other), weight in coincidences.items():
        totals[one] += weight
    everything = sum(totals.values())
    observed = sum(weight for (one, other), weight in coincidences.items() if one != other)
    expected = everything**2 - sum(weight**2 for weight in totals.values())
    if not expected:
        return None
    return 1 - (everything - 1) * observed / expected


def cohen_kappa(pairs: Iterable[tuple[Hashable, Hashable]]) -> float | None:
    """(observed - chance agreement) / (1 - chance agreement) of two; None where chance is all."""
    seen = list(pairs)
    if not seen:
        return None
    left, right = (Counter(side) for side in zip(*seen, strict=True))
    observed = sum(one == other for one, other in seen) / len(seen)
    chance = sum(left[verdict] * right[verdict] for verdict in left) / len(seen) ** 2
    return (observed - chance) / (1 - chance) if chance < 1 else None


def agreement_of(revision: Revision) -> dict[str, Any]:
    """Of a review: rows with more than one opinion, and the figures; None where there is none."""
    units: dict[int, dict[Hashable, Hashable]] = defaultdict(dict)
    opinions = revision.decisions.opinions().values_list("row", "by", "seat", "verdict")
    for row, by, seat, verdict in opinions.iterator():
        units[row][by if by is not None else f"seat {seat}"] = verdict
    several = [unit for unit in units.values() if len(unit) > 1]
    people = sorted({str(who) for unit in several for who in unit})
    named = [{str(who): verdict for who, verdict in unit.items()} for unit in several]
    kappa = None
    if len(people) == 2:
        kappa = cohen_kappa((unit[people[0]], unit[people[1]]) for unit in named)
    return {
        "compared": len(several),
        "agreement": percent_agreement(several),
        "alpha": krippendorff_alpha(several),
        "kappa": kappa,
    }
