"""Providers of language models: who may be asked, with which key, at what price."""

import asyncio
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.db import transaction

from accounts.models import Project, Role, User
from accounts.services import event_record, role_require
from common.errors import Conflict, DomainError
from common.outbound import BadTarget, target_read, target_resolve
from common.phrases import gettext as _
from common.sealing import Unsealable, seal, unseal
from datasets.generation.doors import (
    Busy,
    HttpDoor,
    Refused,
    Reworded,
    Server,
    Terms,
    target_trouble,
)
from datasets.generation.events import Answer
from datasets.models import Provider, RecipeRun
from datasets.recipes.kinds import models_named
from datasets.recipes.parameters import MODEL_NAME_MAX
from datasets.services.files import data_root
from datasets.services.uploads import name_checked

PURPOSE = "provider"
MODELS_MAX = 20
KEY_MAX = 1000
PRICE_MAX = Decimal(1_000_000)
PROBE_SECONDS = 20
_LEAST_MOST = {"requests_per_minute": (1, 60_000), "parallel": (1, 64), "timeout": (1, 600)}


@dataclass(frozen=True)
class Probe:
    """What a provider answered to a short question, and how long that took."""

    model: str
    text: str
    seconds: float


@transaction.atomic
def provider_create(
    *, project: Project, created_by: User, name: str, key: str = "", **given: Any
) -> Provider:
    """A provider. DomainError for an address that nothing may be sent to, and other bad values."""
    role_require(created_by, project, Role.RESEARCHER)
    provider = Provider(project=project, created_by=created_by)
    _fill(provider, {"name": name, **given}, by=created_by)
    _seal(provider, key)
    provider.save(force_insert=True)
    event_record(provider, project=project, actor=created_by, verb="created")
    return provider


@transaction.atomic
def provider_update(
    provider_id: uuid.UUID, *, by: User, key: str | None = None, **given: Any
) -> Provider:
    """Changes what is given; without a `key` the old one stays, unless the address changes.

    Another address needs the key again, so that nobody learns another's by having it sent
    elsewhere.
    """
    provider = (
        Provider.objects.editable_by(by)
        .select_for_update(of=("self",))
        .select_related("project")
        .get(pk=provider_id)
    )
    old = provider.base_url
    _fill(provider, given, by=by)
    if key is not None:
        _seal(provider, key)
    elif provider.key_sealed and _origin(provider.base_url) != _origin(old):
        raise DomainError(
            _("The address leads to another server. Enter the key for it, too."), field="key"
        )
    provider.save()
    event_record(provider, project=provider.project, actor=by, verb="changed")
    return provider


@transaction.atomic
def provider_delete(provider_id: uuid.UUID, *, by: User) -> None:
    """Forgets it with its key. Conflict while a run asks it."""
    provider = (
        Provider.objects.editable_by(by)
        .select_for_update(of=("self",))
        .select_related("project")
        .get(pk=provider_id)
    )
    for run in RecipeRun.objects.active().filter(asks_models=True):
        if any(source.startswith(f"provider/{provider.pk}/") for source in models_named(run.steps)):
            raise Conflict(
                _("The recipe “%(run)s” still runs. Cancel it, or wait for it.") % {"run": run},
                code="in_use",
            )
    event_record(
        provider, project=provider.project, actor=by, verb="deleted", old=provider.name[:24]
    )
    provider.delete()


def provider_test(provider_id: uuid.UUID, *, by: User) -> Probe:
    """Asks its usual model for a word, which may cost a few tokens. DomainError says what is wrong.

    Ends within `PROBE_SECONDS`.
    """
    provider = Provider.objects.editable_by(by).get(pk=provider_id)
    door = HttpDoor(server_of(provider, provider.models[0], timeout=PROBE_SECONDS))
    begun = time.monotonic()
    try:
        text = asyncio.run(_probe(door))
    except (Busy, Refused) as trouble:
        raise DomainError(
            _("%(label)s does not answer: %(why)s") % {"label": door.label, "why": trouble.message},
            code="no_answer",
        ) from None
    return Probe(provider.models[0], text[:80], time.monotonic() - begun)


async def _probe(door: HttpDoor) -> str:
    try:
        return await asyncio.wait_for(_probed(door), PROBE_SECONDS)
    except TimeoutError:
        raise Busy(_("no answer within %(seconds)s seconds") % {"seconds": PROBE_SECONDS}) from None
    finally:
        await door.close()


async def _probed(door: HttpDoor) -> str:
    messages = [{"role": "user", "content": "Reply with the word OK."}]
    question = {"messages": messages, "max_tokens": 16, "temperature": 0, "stream": True}
    while True:  # once more for each parameter that the server does not take
        with suppress(Reworded):
            async with door.ask(question, f"probe-{uuid.uuid4().hex}") as chunks:
                return (await Answer([messages[0]["content"]]).read(chunks)).text


def server_of(provider: Provider, model: str, *, timeout: int | None = None) -> Server:
    """All that it takes to ask a model; DomainError when the key cannot be read any more."""
    try:
        key = unseal(provider.key_sealed, purpose=PURPOSE) if provider.key_sealed else ""
    except Unsealable:
        raise DomainError(
            _("The key of “%(name)s” cannot be read any more. Enter it again.")
            % {"name": provider.name},
            code="key_lost",
        ) from None
    return Server(
        base_url=provider.base_url,
        model=model,
        label=f"{provider.name} · {model}",
        key=key,
        timeout=min(timeout or provider.timeout, provider.timeout),
        allows_private=provider.allows_private,
        terms=Terms(
            parallel=provider.parallel,
            per_minute=provider.requests_per_minute,
            price_in=provider.price_in,
            price_out=provider.price_out,
            currency=provider.currency,
            pace=paces_root() / str(provider.pk),
        ),
    )


def paces_root() -> Path:
    """Where all processes that ask keep the pace of each provider."""
    root = data_root() / ".paces"
    root.mkdir(parents=True, exist_ok=True)
    return root


def _fill(provider: Provider, given: dict[str, Any], *, by: User) -> None:
    """Sets checked values; DomainError names the field."""
    if "name" in given:
        provider.name = name_checked(given["name"])
        _refuse_taken(provider)
    if "models" in given:
        provider.models = _models_checked(given["models"])
    for field in ("price_in", "price_out"):
        if field in given:
            setattr(provider, field, _price_checked(given[field], field))
    if "currency" in given:
        provider.currency = _currency_checked(given["currency"])
    for field, (least, most) in _LEAST_MOST.items():
        if field in given:
            if not least <= given[field] <= most:
                raise DomainError(
                    _("This must lie between %(least)s and %(most)s.")
                    % {"least": least, "most": most},
                    field=field,
                )
            setattr(provider, field, given[field])
    _address_set(provider, given, by=by)


def _address_set(provider: Provider, given: dict[str, Any], *, by: User) -> None:
    address = given.get("base_url", provider.base_url).strip().rstrip("/")
    allowed = provider.allows_private and _origin(address) == _origin(provider.base_url)
    if by.is_staff:
        allowed = given.get("allows_private", provider.allows_private)
    changed = (address, allowed) != (provider.base_url, provider.allows_private)
    provider.base_url, provider.allows_private = address, allowed
    if not changed and not provider._state.adding:
        return
    if len(address) > 300:
        raise DomainError(_("The address is too long."), field="base_url")
    try:
        target = target_read(address)
        if "?" in target.path:
            raise BadTarget("address", address)
        target_resolve(target, allows_private=allowed)
    except BadTarget as bad:
        raise DomainError(
            target_trouble(bad), field="base_url", code=f"target_{bad.code}"
        ) from None


def _origin(address: str) -> tuple[str, str, int] | None:
    try:
        target = target_read(address)
    except BadTarget:
        return None
    return target.scheme, target.host, target.port


def _models_checked(given: Any) -> list[str]:
    names = [str(name).strip() for name in given] if isinstance(given, list) else []
    names = list(dict.fromkeys(filter(None, names)))
    if not names:
        raise DomainError(_("Name at least one model, as the API calls it."), field="models")
    if len(names) > MODELS_MAX or max(map(len, names)) > MODEL_NAME_MAX:
        raise DomainError(
            _("At most %(models)s models with names of %(signs)s characters are taken.")
            % {"models": MODELS_MAX, "signs": MODEL_NAME_MAX},
            field="models",
        )
    return names


def _price_checked(given: Any, field: str) -> Decimal:
    price = Decimal(given)
    if not price.is_finite() or not 0 <= price <= PRICE_MAX:
        raise DomainError(
            _("This must lie between %(least)s and %(most)s.") % {"least": 0, "most": PRICE_MAX},
            field=field,
        )
    return price.quantize(Decimal("0.0001"))


def _currency_checked(given: str) -> str:
    code = given.strip().upper()
    if len(code) != 3 or not code.isascii() or not code.isalpha():
        raise DomainError(
            _("A currency is written in three letters, such as CNY or USD."), field="currency"
        )
    return code


def _seal(provider: Provider, key: str) -> None:
    key = key.strip()
    if len(key) > KEY_MAX or any(ord(sign) < 33 or ord(sign) > 126 for sign in key):
        raise DomainError(
            _("This is no key: it has spaces or other signs that no key has, or is too long."),
            field="key",
        )
    provider.key_sealed = seal(key, purpose=PURPOSE) if key else ""


def _refuse_taken(provider: Provider) -> None:
    others = Provider.objects.filter(project=provider.project, name=provider.name)
    if others.exclude(pk=provider.pk).exists():
        raise Conflict(
            _("%(project)s already has a provider “%(name)s”. Choose another name.")
            % {"project": provider.project.name, "name": provider.name},
            field="name",
            code="name_taken",
        )
