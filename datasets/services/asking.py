"""The models that recipes ask: who may choose which, and the doors to them."""

import uuid
from collections.abc import Mapping
from typing import Any

from accounts.models import Project, User
from common.errors import DomainError
from common.phrases import gettext as _
from datasets.generation.doors import Door, HttpDoor
from datasets.models import Provider
from datasets.recipes.kinds import models_named, step_refusal
from datasets.services.inputs import Seer
from datasets.services.providers import server_of
from datasets.signals import deployment_opening, deployments_offered


def models_offered(user: User, project: Project) -> list[tuple[str, str]]:
    """What a step of the project's recipes may ask, with names for people."""
    providers = Provider.objects.editable_by(user).filter(project=project)
    found = [
        (f"provider/{provider.pk}/{model}", f"{provider.name} · {model}")
        for provider in providers
        for model in provider.models
    ]
    return found + _deployments(user)


def model_names(sources: list[str], reader: Seer) -> dict[str, str]:
    """The names of those models that the reader may see."""
    keys = {source: source.split("/")[1] for source in sources if source.startswith("provider/")}
    seen = Provider.objects.visible_to(reader).filter(pk__in=set(keys.values()))
    names = {str(provider.pk): provider.name for provider in seen}
    found = {
        source: f"{names[key]} · {source.split('/', 2)[2]}"
        for source, key in keys.items()
        if key in names
    }
    if any(source.startswith("deployment/") for source in sources):
        found |= dict(_deployments(reader))
    return found


def _deployments(user: Seer) -> list[tuple[str, str]]:
    """Models in service that somebody may ask, with their names."""
    answers: Any = deployments_offered.send(sender=None, user=user)
    return [(f"deployment/{key}", name) for _receiver, told in answers for key, name in told]


def models_check(steps: list[dict[str, Any]], by: User) -> None:
    """DomainError names the step whose model somebody may not ask, or that is gone."""
    for source, (place, parameter) in models_named(steps).items():
        if _provider(source, by) is None and not _is_offered(source, by):
            raise step_refusal(
                place, parameter, _("This model is gone, or not yours to ask. Choose another one.")
            )


def doors_of(steps: list[dict[str, Any]], by: User) -> dict[str, Door]:
    """The doors to all models that the steps name, for whoever lets them run."""
    models_check(steps, by)
    return {source: _door(source, by) for source in models_named(steps)}


def currency_of(doors: Mapping[str, Door]) -> str:
    """The one currency of all models that cost something; DomainError when there are several."""
    found = {
        door.terms.currency
        for door in doors.values()
        if door.terms.price_in or door.terms.price_out
    }
    if len(found) > 1:
        raise DomainError(
            _("The models of this recipe are paid in several currencies: %(names)s. Use one.")
            % {"names": ", ".join(sorted(found))},
            code="currencies",
        )
    return "".join(found)


def models_currency(steps: list[dict[str, Any]], by: User) -> str:
    """The currency to show beside a limit; empty where models are free, gone or not to be asked."""
    try:
        return currency_of(doors_of(steps, by))
    except DomainError:
        return ""


def _provider(source: str, by: User) -> Provider | None:
    if not source.startswith("provider/"):
        return None
    return Provider.objects.editable_by(by).filter(pk=source.split("/")[1]).first()


def _is_offered(source: str, by: User) -> bool:
    return source in dict(_deployments(by))


def _door(source: str, by: User) -> Door:
    provider = _provider(source, by)
    if provider is not None:
        return HttpDoor(server_of(provider, source.split("/", 2)[2]))
    wanted = uuid.UUID(source.split("/")[1])
    answers: Any = deployment_opening.send(sender=None, user=by, deployment_id=wanted)
    door: Door | None = next((door for _receiver, door in answers if door is not None), None)
    if door is None:
        raise DomainError(_("The model in service that was to be asked is gone."))
    return door
