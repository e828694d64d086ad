"""What is wrong with nodes and GPUs, in the reader's language."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.utils.formats import number_format

from common.phrases import gettext as _
from common.phrases import load, ngettext
from nodes.models import Alert, AlertRule, Gpu, Node

Kind = AlertRule.Kind

_HEALTH: dict[str, Callable[[], str]] = {
    "lost": lambda: _("Its driver cannot reach it. The machine has to be started again."),
    "remapping_failed": lambda: _("Its memory is damaged beyond repair. Replace it."),
    "remapping_pending": lambda: _(
        "Damaged memory will be set aside when the machine is started again."
    ),
    "retirement_pending": lambda: _(
        "Damaged memory will be set aside when the machine is started again."
    ),
    "ecc_uncorrected": lambda: _("It had uncorrected memory errors since the machine started."),
    "mig": lambda: _("It is divided into MIG slices; a workload gets one slice of it."),
}


def health_text(gpu: Gpu) -> str:
    """Why a device is not well; empty when it is."""
    texts = [_HEALTH[code]() for code in gpu.health_codes if code in _HEALTH]
    return " ".join(dict.fromkeys(texts))


def gone_text(gpu: Gpu) -> str:
    """What to do about a device that is gone; empty when it is there."""
    if gpu.is_present:
        return ""
    return _("It is not reported any more. Start the machine again, or let it go.")


_THROTTLED: dict[str, Callable[[], str]] = {
    "heat": lambda: _("It is slowed down because it is hot."),
    "power_brake": lambda: _("It is slowed down by the machine's power supply."),
    "hardware": lambda: _("It is slowed down by its own protection."),
}


def throttle_text(words: Iterable[str]) -> str:
    """What slows a device down; its ordinary power limit is no news."""
    return " ".join(_THROTTLED[word]() for word in words if word in _THROTTLED)


def exclusion_text(exclusion: Mapping[str, Any]) -> str:
    """Why a device or a node was taken out; empty when it was not."""
    args = exclusion.get("args", {})
    if exclusion.get("code") == "errors":
        return ngettext(
            "Taken out after %(count)s hardware error in %(hours)s hours.",
            "Taken out after %(count)s hardware errors in %(hours)s hours.",
            args["count"],
        ) % {**args}
    if exclusion.get("code") == "gpus":
        return ngettext(
            "Taken out, because %(count)s of its GPUs is.",
            "Taken out, because %(count)s of its GPUs are.",
            args["count"],
        ) % {**args}
    return ""


def _figure(value: float) -> str:
    return number_format(round(value, 1 if value < 10 and value % 1 else None), use_l10n=True)


def _time(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return _("%(n)s s") % {"n": round(seconds)}
    if minutes < 120:
        return _("%(n)s min") % {"n": minutes}
    return _("%(n)s h") % {"n": round(minutes / 60)}


def alert_text(alert: Alert, *, to_operator: bool = False) -> str:
    """One sentence. Paths on a node are for operators only."""
    facts = {
        "node": alert.node.name,
        "gpu": alert.gpu.index if alert.gpu is not None else "",
        "value": _figure(alert.value),
        "limit": _figure(alert.threshold),
    }
    if alert.kind == Kind.SILENCE:
        return _("%(node)s has not reported for %(time)s.") % {
            **facts,
            "time": _time(alert.value),
        }
    if alert.kind == Kind.DISK:
        if to_operator:
            return _("%(path)s on %(node)s is %(value)s %% full.") % {
                **facts,
                "path": alert.subject,
            }
        return _("A disk of %(node)s is %(value)s %% full.") % facts
    if alert.kind == Kind.CLOCK:
        return _("The clock of %(node)s is off by %(time)s. It takes no new work.") % {
            **facts,
            "time": _time(alert.value),
        }
    if alert.kind == Kind.ECC:
        return ngettext(
            "GPU %(gpu)s of %(node)s had %(value)s uncorrected memory error in a day.",
            "GPU %(gpu)s of %(node)s had %(value)s uncorrected memory errors in a day.",
            round(alert.value),
        ) % {**facts}
    return str(_GPU_TEXTS[alert.kind]()) % facts


_GPU_TEXTS: dict[str, Callable[[], str]] = {
    Kind.HEAT: lambda: _("GPU %(gpu)s of %(node)s is at %(value)s °C; the limit is %(limit)s °C."),
    Kind.IDLE: lambda: _("GPU %(gpu)s of %(node)s is held, but only %(value)s %% of it is used."),
    Kind.EXCLUSION: lambda: _("GPU %(gpu)s of %(node)s was taken out after repeated errors."),
    Kind.LOSS: lambda: _("GPU %(gpu)s of %(node)s is gone or broken; nothing new is placed on it."),
}


def start_trouble(node: Node, *, to_operator: bool = False) -> str:
    """Why nothing can be started on it now; empty when it can. Operators learn what is wrong."""
    found = load(str(node.facts.get("trouble") or ""))
    return found if to_operator or not found else _("Nothing can be started here now.")


def node_hints(node: Node) -> list[str]:
    """What operators should change about a node that works."""
    hints = docker_hints(node.facts)
    if not node.facts.get("docker_gives_gpus", True) and node.gpus.filter(is_present=True).exists():
        hints.append(
            _(
                "Docker cannot give containers the GPUs of this machine, so only work without GPUs"
                " comes here. Install NVIDIA's container toolkit, run “%(command)s” and start"
                " Docker again."
            )
            % {"command": "nvidia-ctk runtime configure --runtime=docker"}
        )
    return hints


def docker_hints(facts: Mapping[str, Any]) -> list[str]:
    """What should be changed about a Docker Engine of which these facts are told."""
    if facts.get("docker_live_restore", True):
        return []
    return [
        _(
            "When Docker is stopped or updated, all that runs here ends with it. Set"
            " “%(setting)s” in its %(file)s and run “%(command)s”."
        )
        % {
            "setting": '"live-restore": true',
            "file": "daemon.json",
            "command": "systemctl reload docker",
        }
    ]


def node_trouble(node: Node) -> str:
    """Why a node takes no new work, where that is not plain from its state."""
    if node.excluded_at is not None:
        return exclusion_text(node.exclusion)
    if node.is_clock_wrong:
        return _("Its clock is off by %(time)s. It takes no new work until that is right.") % {
            "time": _time(abs(node.clock_skew_seconds))
        }
    return start_trouble(node)
