"""How much of planted personal data is masked, by kind, Chinese and English; and what is masked
besides.

A value counts as hidden when less than half of it is left; exact when just the value became a
placeholder. False ones are placeholders that stand for no planted value.
"""

import argparse
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "platform")]
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from benchmarks.planting import DECOYS, planted
from datasets.recipes.masking import Masker
from datasets.recipes.personal import KINDS
from datasets.recipes.placeholders import RowNumbers

LEAST = 0.95  # recall of the kinds that have a pattern or a checksum
PATTERNED = ("key", "email", "id_card", "bank_card", "phone", "ip")


@dataclass
class Line:
    """What was measured of one kind in one language."""

    planted: int = 0
    hidden: int = 0
    exact: int = 0
    missed: list[str] = field(default_factory=list)

    @property
    def recall(self) -> float:
        """The share that is hidden."""
        return self.hidden / max(self.planted, 1)


def measure(count: int, seed: int) -> tuple[dict[tuple[str, str], Line], Counter[str], list[str]]:
    """What was hidden by kind and language, false ones by kind, and examples of these."""
    lines: dict[tuple[str, str], Line] = {}
    false: Counter[str] = Counter()
    examples: list[str] = []

    def count_false(masker: Masker, text: str, out: str, kind: str = "") -> None:
        for found, times in masker.found.items():
            wrong = times - (found == kind)
            if wrong > 0:
                false[found] += wrong
                examples.append(f"{found}: {text} -> {out}")

    for one in planted(count, seed):
        text = one.before + one.value + one.after
        masker = Masker(list(KINDS), RowNumbers({"q": text}))
        out = masker.masked(text)
        line = lines.setdefault((one.kind, one.language), Line())
        line.planted += 1
        line.exact += out == f"{one.before}[{one.kind.upper()}_1]{one.after}"
        left = SequenceMatcher(None, one.value, out, autojunk=False).find_longest_match().size
        if left < max(len(one.value) / 2, 1.5):
            line.hidden += 1
        else:
            line.missed.append(text)
        count_false(masker, text, out, one.kind)
    for text in DECOYS:
        masker = Masker(list(KINDS), RowNumbers({"q": text}))
        count_false(masker, text, masker.masked(text))
    return lines, false, examples


def main() -> None:
    """Prints the table."""
    from running import verdict  # beside this file; tests import it from elsewhere

    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--count", type=int, default=500, help="values by kind and language")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--examples", type=int, default=0, help="missed and false ones shown")
    given = options.parse_args()
    began = time.monotonic()
    lines, false, examples = measure(given.count, given.seed)
    seconds = time.monotonic() - began
    print(f"{'kind':<11}{'language':<17}{'planted':>8}{'recall':>8}{'exact':>8}{'false':>7}")
    for (kind, language), line in lines.items():
        wrong = false[kind] if language == "zh" else ""
        exact = line.exact / line.planted
        print(
            f"{kind:<11}{language:<17}{line.planted:>8}{line.recall:>8.3f}{exact:>8.3f}{wrong:>7}"
        )
    total = sum(line.planted for line in lines.values()) + len(DECOYS)
    print(f"{total} texts ({len(DECOYS)} of them decoys) in {seconds:.1f} s; false: both languages")
    for line in lines.values():
        for text in line.missed[: given.examples]:
            print("missed:", text)
    for text in examples[: given.examples * 5]:
        print("false:", text)
    worst = min(line.recall for (kind, _language), line in lines.items() if kind in PATTERNED)
    goal = f"at least {LEAST} for {', '.join(PATTERNED)}"
    verdict("recall of the worst kind", worst, "", goal=goal, met=worst >= LEAST)


if __name__ == "__main__":
    main()
