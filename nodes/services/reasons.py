"""Why a workload waits, or has not ended yet, in a sentence."""

from collections.abc import Callable, Mapping
from typing import Any

from django.utils.formats import number_format

from common.phrases import gettext as _
from common.phrases import load

Facts = Mapping[str, Any]


def size_text(number: float) -> str:
    """Bytes as two or three figures."""
    gib = number / 2**30
    if gib < 1:
        return f"{number_format(round(number / 2**20), use_l10n=True)} MB"
    return f"{number_format(round(gib, None if gib >= 10 else 1), use_l10n=True)} GB"


def _gpus(facts: Facts) -> str:
    values = {"gpus": facts["gpus"], "size": size_text(facts["memory_bytes"])}
    if facts["gpus"] == 1:
        return _("No node has a GPU with %(size)s of memory. Choose a smaller or leaner model.") % (
            values
        )
    return (
        _("No node has %(gpus)s GPUs with %(size)s of memory each. Choose fewer or a smaller one.")
        % values
    )


def _busy_gpus(facts: Facts) -> str:
    if facts["gpus"] == 1:
        return _("Waits for a GPU: on %(node)s all that fit are in use.") % {**facts}
    return _("Waits for %(gpus)s GPUs of %(node)s: %(free)s of them are free now.") % {**facts}


def _outputs(facts: Facts) -> str:
    if facts["hindrance"]:
        why = _("What it wrote cannot be brought from its node now, and is tried again: %(error)s")
        return why % {"error": load(str(facts["hindrance"]))}
    if not facts["size"]:
        return _("What it wrote is on its way from its node.")
    values = {"sent": size_text(facts["sent"]), "size": size_text(facts["size"])}
    return _("What it wrote is on its way from its node: %(sent)s of %(size)s.") % values


_TEXTS: dict[str, Callable[[Facts], str]] = {
    "no_nodes": lambda facts: _("No node has registered yet. An operator has to start one."),
    "no_gpus": _gpus,
    "no_cpus": lambda facts: (
        _("No node has %(cpus)s CPUs.") % {"cpus": number_format(facts["cpus"], use_l10n=True)}
    ),
    "no_memory": lambda facts: (
        _("No node has %(size)s of memory.") % {"size": size_text(facts["memory_bytes"])}
    ),
    "no_shape": lambda facts: _("No single node has all that it asks for."),
    "no_engine": lambda facts: (
        _(
            "No node that could run this has the engine %(engine)s, or an image of it that may run."
            " An operator has to add one."
        )
        % {**facts}
    ),
    "away": lambda facts: _("%(node)s could run it, but takes no new work now.") % {**facts},
    "gpus_away": lambda facts: (
        _("%(node)s could run it, but cannot hand its GPUs on. Operators see why on its page.")
        % {**facts}
    ),
    "services": lambda facts: (
        _("What it needs on %(node)s is held by deployments. It starts when one is unloaded.")
        % {**facts}
    ),
    "outputs": _outputs,
    "behind": lambda facts: _("%(node)s is kept for a workload before it.") % {**facts},
    "busy_gpus": _busy_gpus,
    "busy_cpus": lambda facts: _("Waits for CPUs of %(node)s, which are in use.") % {**facts},
    "busy_memory": lambda facts: (
        _("Waits for %(size)s of memory on %(node)s.")
        % {"size": size_text(facts["memory_bytes"]), "node": facts["node"]}
    ),
}

# Codes of waits that end only when somebody changes something.
NEVER = frozenset({"no_nodes", "no_gpus", "no_cpus", "no_memory", "no_shape", "no_engine"})


def reason_text(waits_for: Facts) -> str:
    """The sentence for a `Workload.waits_for`; empty when there is none."""
    text = _TEXTS.get(str(waits_for.get("code", "")))
    return text(waits_for.get("args", {})) if text else ""
