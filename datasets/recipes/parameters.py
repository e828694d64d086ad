"""What the parameters of steps may be. A refusal is a `ValueError` with a sentence for people."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise

from common.phrases import gettext as _

Text = str | Promise


@dataclass(frozen=True)
class Parameter:
    """A named value of a step with its default and words for people."""

    name: str
    label: Text
    default: Any
    help: Text = ""
    when: tuple[str, Any] = ("", None)  # counts only with this value of another; True: with any

    def counts(self, given: Mapping[str, Any]) -> bool:
        """Whether the value makes a difference beside the others."""
        name, wanted = self.when
        return not name or (bool(given[name]) if wanted is True else given[name] == wanted)

    def checked(self, value: Any) -> Any:
        """The value as it is stored; ValueError says why it cannot be."""
        raise NotImplementedError


@dataclass(frozen=True)
class Flag(Parameter):
    """Yes or no."""

    def checked(self, value: Any) -> bool:
        """True or False and nothing else."""
        if not isinstance(value, bool):
            raise ValueError(_("This must be true or false."))
        return value


@dataclass(frozen=True)
class Number(Parameter):
    """A number within limits; whole ones only with `whole`. None is allowed with `optional`."""

    least: float = 0
    most: float = 1
    whole: bool = False
    optional: bool = False

    def checked(self, value: Any) -> float | int | None:
        """A number within the limits."""
        if value is None and self.optional:
            return None
        kinds = int if self.whole else (int, float)
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise ValueError(
                _("This must be a whole number.") if self.whole else _("This must be a number.")
            )
        if not self.least <= value <= self.most:
            raise ValueError(
                _("This must lie between %(least)s and %(most)s.")
                % {
                    "least": f"{self.least:g}",
                    "most": f"{self.most:.0f}" if self.whole else f"{self.most:g}",
                }
            )
        return value


@dataclass(frozen=True)
class Choice(Parameter):
    """One of several words."""

    choices: tuple[tuple[str, Text], ...] = ()

    def checked(self, value: Any) -> str:
        """One of the words."""
        if not isinstance(value, str) or value not in dict(self.choices):
            raise ValueError(
                _("Choose one of: %(words)s.") % {"words": ", ".join(dict(self.choices))}
            )
        return value


@dataclass(frozen=True)
class Several(Choice):
    """At least one of several words."""

    def checked(self, value: Any) -> list[str]:  # type: ignore[override]
        """The words in the order of the choices, each once."""
        known = dict(self.choices)
        if not isinstance(value, list) or not value or any(one not in known for one in value):
            raise ValueError(_("Choose at least one of: %(words)s.") % {"words": ", ".join(known)})
        return [word for word in known if word in value]


@dataclass(frozen=True)
class Pattern(Parameter):
    """A regular expression, or nothing."""

    def checked(self, value: Any) -> str:
        """A pattern that can be read."""
        from datasets.recipes.clean import pattern_problem

        if not isinstance(value, str):
            raise ValueError(_("This must be a text."))
        if value and (problem := pattern_problem(value)):
            raise ValueError(problem)
        return value


def parameters_checked(known: tuple[Parameter, ...], given: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters with defaults for those left out. `Refused` names the one to blame."""
    for name in given:
        if name not in {one.name for one in known}:
            raise Refused(name, _("This step has no parameter of this name."))
    found = {}
    for one in known:
        try:
            found[one.name] = one.checked(given.get(one.name, one.default))
        except ValueError as error:
            raise Refused(one.name, error.args[0]) from error
    return found


class Refused(Exception):
    """A parameter that cannot be so."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(reason)
        self.name = name
        self.reason = reason
