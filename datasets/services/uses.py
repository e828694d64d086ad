"""What others ask of a version: whether it fits, what would be cut, how much a project stores."""

import hashlib
from array import array
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from django.db.models import Sum
from django.utils.translation import gettext_lazy

from accounts.models import Project
from common.phrases import either, ngettext
from common.phrases import gettext as _
from datasets.checking import LENGTHS
from datasets.models import DatasetVersion
from datasets.services.room import held_bytes
from datasets.shapes.mapping import STAGE_SHAPES, Mapping

STAGE_NAMES = {
    "pt": gettext_lazy("pretraining"),
    "sft": gettext_lazy("supervised fine-tuning"),
    "rm": gettext_lazy("a reward model"),
    "dpo": gettext_lazy("preference training"),
    "kto": gettext_lazy("KTO"),
}


def storage_used(project: Project) -> int:
    """Bytes of all files of the project's datasets, and of uploads that are on their way."""
    versions = DatasetVersion.objects.filter(dataset__project=project)
    return int(versions.aggregate(total=Sum("stored_bytes"))["total"] or 0) + held_bytes(project)


def version_unfit(version: DatasetVersion, *, stage: str) -> str:
    """Why the version cannot be used for a training stage; empty when it can.

    `pt` reads texts; `sft` alpaca, sharegpt and OpenAI messages; `rm` and `dpo` preferences; `kto`
    marked answers. The engine stops at others or drops all their rows.
    """
    if version.state == DatasetVersion.State.CHECKING:
        return _("It is still being checked.")
    if version.state == DatasetVersion.State.MAPPING:
        return _("Its columns are not named yet. Open it and name them.")
    if version.state == DatasetVersion.State.BROKEN:
        return _("It is broken: %(reason)s") % {"reason": version.problem}
    if version.shape in STAGE_SHAPES.get(stage, ()):
        return ""
    fitting = [DatasetVersion.Shape(shape).label for shape in STAGE_SHAPES.get(stage, ())]
    return _("It holds %(shape)s; %(stage)s needs %(shapes)s.") % {
        "shape": DatasetVersion.Shape(version.shape).label,
        "stage": STAGE_NAMES.get(stage, stage),
        "shapes": either(fitting) if fitting else _("nothing"),
    }


@dataclass(frozen=True)
class Stop:
    """Rows at which the engine would stop a training, and the chat templates with which it would.

    `row` is the number of the first one, `why` what is wrong with that.
    """

    templates: list[str]
    rows: int
    row: int
    why: str


def version_stops(version: DatasetVersion) -> list[Stop]:
    """What in the version would stop the engine, most rows first; templates alike in it as one."""
    alike: dict[tuple[int, int, str], list[str]] = defaultdict(list)
    for template, found in version.report.get("stops", {}).items():
        alike[found["rows"], found["row"], found["why"]].append(template)
    stops = [Stop(names, rows, row, _why(why)) for (rows, row, why), names in alike.items()]
    return sorted(stops, key=lambda stop: (-stop.rows, stop.row))


def _why(code: str) -> str:
    return {
        "files": _(
            "its text holds “<image>”, “<video>” or “<audio>”, which stands for a file with this"
            " template, and there is none"
        ),
        "tools": _("this template cannot write its tools"),
        "call": _("this template cannot read its tool call"),
        "calls": _("this template takes only one tool call at once"),
    }[code]


def version_stop(version: DatasetVersion, *, template: str) -> str:
    """Why the engine would stop at rows of the version under a chat template; empty: it does not.

    Versions checked before the engine told of the template say nothing until they are looked at
    again, which `statistics_outdated` has done.
    """
    found = version.report.get("stops", {}).get(template)
    if not found:
        return ""
    return ngettext(
        "The engine would stop at %(rows)s row under the chat template “%(template)s”: at row"
        " %(row)s %(why)s. Leave it out with a recipe (clean, chat template), or choose another"
        " template.",
        "The engine would stop at %(rows)s rows under the chat template “%(template)s”, first at"
        " row %(row)s: %(why)s. Leave them out with a recipe (clean, chat template), or choose"
        " another template.",
        found["rows"],
    ) % {**found, "template": template, "why": _why(found["why"])}


def stages_of(version: DatasetVersion) -> list[tuple[str, str, str]]:
    """Each stage with its name and why the version does not fit it (empty: it does)."""
    return [
        (stage, str(STAGE_NAMES[stage]), version_unfit(version, stage=stage))
        for stage in STAGE_SHAPES
    ]


def version_cut_count(version: DatasetVersion, *, key: str, cutoff_len: int) -> int | None:
    """How many usable rows have more than `cutoff_len` tokens, which the engine would cut.

    A row's length is the tokens of its system prompt, tools and turns in the words of the template,
    by the tokenizer of `key` (see `checking.counting_key`); of two answers the longer one counts.
    Templates we do not know are counted like ChatML, tools and calls of them as the data has them.

    Exact up to 32 MB of rows. Of bigger ones so much, spread evenly over the file, was counted, and
    the share is applied to all rows. Texts for pretraining are joined and cut into blocks, nothing
    is lost: 0. None when nobody has counted with this tokenizer yet, or the file of it is lost, see
    `tokens_asked`.
    """
    if version.state != DatasetVersion.State.READY or version.shape == "text":
        return 0
    lengths = _lengths_stored(version, key)
    if lengths is None:
        return None
    over = sum(1 for length in lengths if length > cutoff_len)
    return round(over / max(len(lengths), 1) * version.rows)


def _lengths_stored(version: DatasetVersion, key: str) -> Sequence[int] | None:
    paths = [lengths_path(version, key)]
    if version.report.get("tokens", {}).get("key") == key:
        paths.insert(0, version.check_directory / LENGTHS)
    for path in paths:
        if path.exists():
            lengths = array("I")
            lengths.frombytes(path.read_bytes())
            return lengths
    return None


def lengths_path(version: DatasetVersion, key: str) -> Path:
    """Where lengths are kept that were counted with another tokenizer than the check's."""
    digest = hashlib.sha256(key.encode()).hexdigest()[:16]
    return version.check_directory / f"lengths-{digest}.bin"


def given_of(version: DatasetVersion) -> Mapping:
    """How the checked rows are to be read: as the engine is told."""
    entry = version.report["entry"]
    columns = {key: column for key, column in entry["columns"].items() if column}
    return Mapping.of(version.shape, columns, entry["tags"])
