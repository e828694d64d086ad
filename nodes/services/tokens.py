"""How a machine becomes a node: a token that is used once, and the key it gets for it.

A token is `ntk_ID_SECRET`. The machine names the id and seals what it says with a key made from the
secret; the answer, which holds the installation's secrets, is sealed with the same key. So neither
the token nor the answer can be read on the way, whatever the connection is.
"""

import json
import re
import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import User
from accounts.services import event_record
from common.errors import Conflict, DomainError
from common.phrases import gettext as _
from common.sealing import Unsealable, seal_with, unseal_with
from common.version import VERSION, fits
from nodes.models import Node, NodeToken, Workload
from nodes.runners import RUNNERS
from nodes.services import checks
from nodes.services.clock import database_now
from nodes.services.keys import KEY_PREFIX, secret_hash
from nodes.services.machines import SILENT_AFTER, clock_refuse
from nodes.services.planning import schedule_soon
from nodes.services.states import node_event

TOKEN_PREFIX = "ntk"  # noqa: S105  what every token begins with
MOST_HOURS = 24 * 30
LOCAL_HOSTS = ("", "localhost", "127.0.0.1", "::1")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")


@dataclass(frozen=True, slots=True)
class Welcome:
    """What a machine gets when it comes in: its row, its key, and the settings it works with."""

    node: Node
    key: str
    settings: dict[str, str]


@transaction.atomic
def node_token_create(*, by: User, note: str = "", hours: int = 24) -> tuple[NodeToken, str]:
    """A token for one machine; with the token itself, which is shown this once and not kept.

    Raises DomainError for hours out of 1 to 720, and where nodes cannot come in at all.
    """
    if not 1 <= hours <= MOST_HOURS:
        raise DomainError(
            _("Choose between 1 and %(most)s hours.") % {"most": MOST_HOURS}, field="hours"
        )
    refuse_embedded()
    public, secret = secrets.token_hex(5), secrets.token_urlsafe(32)
    token = NodeToken.objects.create(
        prefix=public,
        token_hash=secret_hash(secret),
        note=note.strip()[:120],
        expires_at=timezone.now() + timedelta(hours=hours),
        created_by=by,
    )
    event_record(token, project=None, actor=by, verb="created", data={"prefix": public})
    return token, f"{TOKEN_PREFIX}_{public}_{secret}"


@transaction.atomic
def node_token_revoke(token_id: uuid.UUID, *, by: User) -> None:
    """Closes a token that nobody has used; who came in with it stays."""
    token = NodeToken.objects.editable_by(by).select_for_update().get(pk=token_id)
    event_record(token, project=None, actor=by, verb="revoked", data={"prefix": token.prefix})
    token.delete()


def token_parts(token: str) -> tuple[str, bytes]:
    """The id of a token and the key that is made from its secret. Raises DomainError."""
    kind, _mark, rest = token.strip().partition("_")
    public, _mark, secret = rest.partition("_")
    if kind != TOKEN_PREFIX or not public or not secret:
        raise DomainError(
            _("This is no node token. Copy it whole from the nodes page."),
            field="token",
            code="token_unknown",
        )
    return public, bytes.fromhex(secret_hash(secret))


def refuse_embedded() -> None:
    """Raises Conflict where the database is a file of this machine, which others cannot use."""
    if connection.vendor == "sqlite":
        raise Conflict(
            _(
                "This platform keeps its database in a file (SQLite), which other machines cannot"
                " use. Set TRAINER_DATABASE_URL to a PostgreSQL server that they reach, and start"
                " the platform anew."
            ),
            code="embedded",
        )


def _refuse_local_database(*, remote: bool) -> None:
    """An address that only this machine understands is of no use to another one."""
    host = str(settings.NODE_DATABASE_HOST)
    if remote and host in LOCAL_HOSTS:
        raise Conflict(
            _(
                "The database's address, %(host)s, holds on the control plane's own machine only."
                " Set TRAINER_NODE_DATABASE_URL to how other machines reach it."
            )
            % {"host": host or "a local socket"},
            code="database_local",
        )


@transaction.atomic
def node_join(prefix: str, sealed: str, *, address: str, remote: bool) -> str:
    """Lets a machine in; the sealed answer. Raises DomainError, and changes nothing, otherwise.

    `sealed` holds the JSON of name, version, clock (seconds since 1970), machine and runner.
    `remote` says whether the machine is another one than this.
    """
    token = NodeToken.objects.select_for_update().filter(prefix=prefix).first()
    asked = _opened(token, sealed)
    if token is None or asked is None:
        raise DomainError(
            _("This token is not known here. Copy it whole from the nodes page, or make another."),
            field="token",
            code="token_unknown",
        )
    if token.used_at is not None:
        raise Conflict(
            _("This token was used already, by %(node)s. Each machine needs one of its own.")
            % {"node": token.node.name if token.node else "?"},
            field="token",
            code="token_used",
        )
    if token.is_expired:
        raise Conflict(
            _("This token expired at %(time)s. Make a new one on the nodes page.")
            % {"time": timezone.localtime(token.expires_at).strftime("%Y-%m-%d %H:%M")},
            field="token",
            code="token_expired",
        )
    refuse_embedded()
    _refuse_local_database(remote=remote)
    version_refuse(checks.text("version", asked.get("version"), longest=40))
    moment = checks.number("clock", asked.get("clock"), high=2**33)
    clock_refuse(moment - database_now().timestamp())
    welcome = _enter(asked, address)
    token.used_at, token.node = timezone.now(), welcome.node
    token.save(update_fields=["used_at", "node"])
    node_event(welcome.node, None, "joined", data={"prefix": token.prefix})
    schedule_soon()
    answer = {"name": welcome.node.name, "settings": welcome.settings}
    return seal_with(bytes.fromhex(token.token_hash), json.dumps(answer))


def _opened(token: NodeToken | None, sealed: str) -> dict[str, Any] | None:
    """What the machine says; None when it does not hold the token."""
    if token is None or len(sealed) > checks.MOST_FACTS:
        return None
    try:
        asked = json.loads(unseal_with(bytes.fromhex(token.token_hash), sealed))
    except (Unsealable, ValueError, RecursionError):
        return None
    return asked if isinstance(asked, dict) else None


def version_refuse(version: str) -> None:
    """Raises Conflict for a machine whose version does not fit the control plane's."""
    if not fits(version):
        raise Conflict(
            _(
                "This machine has version %(theirs)s of the platform, the control plane has"
                " %(ours)s. Bring this machine to that version."
            )
            % {"theirs": version[:40], "ours": VERSION},
            field="version",
            code="version_unfit",
        )


def _enter(asked: dict[str, Any], address: str) -> Welcome:
    """The node's row with a new key; the machine's own figures come when its agent starts."""
    name = checks.text("name", asked.get("name"), longest=200)
    if not _NAME.fullmatch(name):
        raise DomainError(
            _("“%(name)s” is no name for a node: letters, digits, - and _, 40 at most.")
            % {"name": name},
            field="name",
            code="name_bad",
        )
    runner = checks.text("runner", asked.get("runner", "process"), longest=16)
    if runner not in RUNNERS:
        raise DomainError(
            _("A node runs workloads as one of: %(runners)s.") % {"runners": ", ".join(RUNNERS)},
            field="runner",
        )
    node = Node.objects.select_for_update().filter(name=name).first()
    if node is not None:
        _refuse_taken_name(node)
    else:
        node = Node(name=name)
    key = f"{KEY_PREFIX}{secrets.token_urlsafe(32)}"
    node.key_hash, node.key_prefix = secret_hash(key), key[:8]
    node.runner, node.address = runner, address[:200]
    node.machine_id = checks.text("machine", asked.get("machine", ""), longest=64)
    if node.state == Node.State.REMOVED or node._state.adding:
        node.state = Node.State.LOST  # until its agent reports
    node.save()
    return Welcome(node, key, {**node_settings(), "TRAINER_NODE": name, "TRAINER_NODE_KEY": key})


def _refuse_taken_name(node: Node) -> None:
    """A name may be taken over from a node that is gone and holds nothing."""
    beats = node.heartbeat_at is not None and database_now() - node.heartbeat_at < SILENT_AFTER
    holds = Workload.objects.active().filter(node=node).exists()
    if node.state != Node.State.REMOVED and (beats or holds):
        raise Conflict(
            _("There is a node called %(node)s at work. Choose another name, or remove it first.")
            % {"node": node.name},
            field="name",
            code="name_taken",
        )


def node_settings() -> dict[str, str]:
    """The environment variables that a node works with, secrets among them: never shown."""
    return {name: value for name, value in settings.NODE_ENVIRONMENT.items() if value}


def node_hello(node: Node, *, version: str, clock: datetime | None) -> None:
    """What a node says before it starts. Raises DomainError, and changes nothing, if it may not."""
    version_refuse(version)
    if clock is not None and not Workload.objects.active().filter(node=node).exists():
        clock_refuse((clock - database_now()).total_seconds())
