"""What the parameters of steps may be. A refusal is a `ValueError` with a sentence for people."""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise

from common.phrases import gettext as _
from datasets.recipes.patterns import pattern_problem

Text = str | Promise
RULES_MAX = 20
VERSIONS_MAX = 8
WEIGHT_MAX = 1000
MODEL_NAME_MAX = 120
SIDES = ("user", "assistant", "system", "drop")
_RULE = re.compile(r"([A-Z_]{2,12})[ ]*[:=][ ]*(.+)")


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
    """Some of several words, at least one unless `optional`."""

    optional: bool = False

    def checked(self, value: Any) -> list[str]:  # type: ignore[override]
        """The words in the order of the choices, each once."""
        known = dict(self.choices)
        wrong = not isinstance(value, list) or any(one not in known for one in value)
        if wrong or not (value or self.optional):
            raise ValueError(_("Choose at least one of: %(words)s.") % {"words": ", ".join(known)})
        return [word for word in known if word in value]


@dataclass(frozen=True)
class Written(Parameter):
    """A text; of several lines with `lines`."""

    longest: int = 200
    lines: bool = False

    def checked(self, value: Any) -> str:
        """A text that is not too long, without white space around it."""
        if not isinstance(value, str):
            raise ValueError(_("This must be a text."))
        if len(value) > self.longest:
            raise ValueError(_("At most %(limit)s characters are taken.") % {"limit": self.longest})
        return value.strip()


@dataclass(frozen=True)
class Column(Written):
    """The name of a column of the rows."""


@dataclass(frozen=True)
class Rules(Written):
    """Names with regular expressions, one a line: `ORDER = PO-[0-9]{6}`."""

    lines: bool = True
    longest: int = RULES_MAX * 250

    def checked(self, value: Any) -> str:
        """Rules that can be read, one a line."""
        text = super().checked(value).replace("\r\n", "\n")
        names = set()
        for line in filter(None, map(str.strip, text.split("\n"))):
            match = _RULE.fullmatch(line)
            if match is None:
                raise ValueError(
                    _("“%(line)s” is no rule. Write a name of 2 to 12 capitals, = and a pattern.")
                    % {"line": line[:60]}
                )
            if problem := pattern_problem(match[2]):
                raise ValueError(f"{match[1]}: {problem}")
            if match[1] in names:
                raise ValueError(_("There are two rules called %(name)s.") % {"name": match[1]})
            names.add(match[1])
        if len(names) > RULES_MAX:
            raise ValueError(_("At most %(limit)s rules are taken.") % {"limit": RULES_MAX})
        return text


def rules_of(text: str) -> list[tuple[str, str]]:
    """Names and patterns of checked rules."""
    found = (_RULE.fullmatch(line.strip()) for line in text.split("\n"))
    return [(match[1], match[2]) for match in found if match is not None]


@dataclass(frozen=True)
class Speakers(Written):
    """Speakers and their sides, one a line: `Our shop = assistant`."""

    lines: bool = True
    longest: int = 20_000

    def checked(self, value: Any) -> str:
        """Lines that can be read."""
        text = super().checked(value).replace("\r\n", "\n")
        for line in filter(None, map(str.strip, text.split("\n"))):
            name, _sign, side = line.rpartition("=")
            if not name.strip() or side.strip().lower() not in SIDES:
                raise ValueError(
                    _("“%(line)s” cannot be read. Write a speaker, = and one of: %(sides)s.")
                    % {"line": line[:60], "sides": ", ".join(SIDES)}
                )
        return text


def speakers_of(text: str) -> dict[str, str]:
    """The sides of checked speakers, whose names are compared without case."""
    lines = (line.rpartition("=") for line in text.split("\n") if line.strip())
    return {name.strip().casefold(): side.strip().lower() for name, _sign, side in lines}


@dataclass(frozen=True)
class Versions(Parameter):
    """Further versions with their weights: `{"version": ID, "weight": 1}`."""

    weighted: bool = False
    optional: bool = False

    def checked(self, value: Any) -> list[dict[str, Any]]:
        """Ids as text, each once. Whether there are such versions is asked elsewhere."""
        if not isinstance(value, list) or not (value or self.optional):
            raise ValueError(_("Choose at least one dataset version."))
        if len(value) > VERSIONS_MAX:
            raise ValueError(_("At most %(limit)s versions are taken.") % {"limit": VERSIONS_MAX})
        found = [self._one(one) for one in value]
        if len({one["version"] for one in found}) < len(found):
            raise ValueError(_("One version is named twice."))
        return found

    def _one(self, value: Any) -> dict[str, Any]:
        given = value if isinstance(value, dict) else {"version": value}
        try:
            version = str(uuid.UUID(str(given.get("version"))))
        except ValueError as error:
            raise ValueError(_("Versions are named by their ids.")) from error
        weight = given.get("weight", 1)
        if not isinstance(weight, int | float) or not 0 < weight <= WEIGHT_MAX:
            raise ValueError(
                _("A weight must be more than 0, and %(most)s at most.") % {"most": WEIGHT_MAX}
            )
        return {"version": version, "weight": weight}


@dataclass(frozen=True)
class Model(Parameter):
    """A model to ask: `provider/ID/NAME`, or `deployment/ID`."""

    def checked(self, value: Any) -> str:
        """The same. Whether there is such a model is asked elsewhere."""
        if not value:
            raise ValueError(_("Choose a model to ask."))
        what, _slash, rest = str(value).partition("/")
        which, _slash, name = rest.partition("/")
        try:
            found = f"{what}/{uuid.UUID(which)}"
        except ValueError:
            found = ""
        if what == "provider" and found and 0 < len(name) <= MODEL_NAME_MAX:
            return f"{found}/{name}"
        if what != "deployment" or not found or name:
            raise ValueError(_("Models are named provider/ID/MODEL or deployment/ID."))
        return found


@dataclass(frozen=True)
class Pattern(Parameter):
    """A regular expression, or nothing."""

    def checked(self, value: Any) -> str:
        """A pattern that can be read."""
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
