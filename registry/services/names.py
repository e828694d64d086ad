"""Names, paths and templates: what may be stored."""

import re
import unicodedata
from pathlib import Path

from django.conf import settings

from common.errors import DomainError
from common.phrases import gettext as _
from registry import catalogue

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def clean_name(name: str) -> str:
    """The name without blanks around it; refused when empty, too long or with path parts."""
    name = name.strip()
    if not name or len(name) > 120:
        raise DomainError(_("Give a name of 1 to 120 characters."), field="name")
    if any(unicodedata.category(letter)[0] == "C" for letter in name) or set(name) & set("/\\"):
        raise DomainError(
            _("A name has no slashes and no control characters."), field="name", code="bad_name"
        )
    return name


def safe_name(name: str) -> str:
    """The nearest acceptable name: a finished job is not refused its model over a character."""
    kept = "".join(
        "-" if letter in "/\\" or unicodedata.category(letter)[0] == "C" else letter
        for letter in name
    )
    return kept.strip()[:120] or "model"


def clean_template(template: str) -> str:
    """A chat template that the engine knows; empty means that the model's own one is used."""
    known = catalogue.templates()
    if template and known and template not in known:
        raise DomainError(
            _("The engine knows no chat template “%(name)s”; choose one of its list.")
            % {"name": template},
            field="template",
            code="unknown_template",
        )
    return template


def clean_hub_id(hub_id: str, *, field: str) -> str:
    """An id of the form owner/name; paths and addresses are refused."""
    hub_id = hub_id.strip()
    if hub_id and not _HUB_ID.fullmatch(hub_id):
        raise DomainError(
            _("“%(id)s” is no hub id; it has the form owner/name.") % {"id": hub_id},
            field=field,
            code="bad_hub_id",
        )
    return hub_id


def below_home(path: str | Path) -> str:
    """The path relative to TRAINER_HOME; refused when it leads out of it."""
    home = Path(settings.TRAINER_HOME)
    whole = (home / path).resolve()
    if not whole.is_relative_to(home.resolve()) or whole == home.resolve():
        raise DomainError(_("The files lie outside the platform's directory."), field="path")
    return whole.relative_to(home.resolve()).as_posix()
