"""To whom alerts are told, and telling it until it arrives."""

import json
import logging
import uuid
from collections.abc import Iterable
from datetime import timedelta

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import override
from django_q.tasks import async_task

from accounts.models import User
from accounts.services import event_record
from common.errors import Conflict, DomainError
from common.languages import spoken
from common.outbound import BadTarget, target_read, target_resolve
from common.phrases import gettext as _
from common.sealing import Unsealable, seal, unseal
from nodes import webhooks
from nodes.models import Alert, AlertChannel, AlertDelivery
from nodes.services.sentences import alert_text

logger = logging.getLogger(__name__)
Kind, State, Happening = AlertChannel.Kind, AlertDelivery.State, AlertDelivery.Happening
PURPOSE = "webhook"
MOST_CHANNELS = 50
MOST_ATTEMPTS = 8
FIRST_PAUSE = timedelta(minutes=1)  # doubled after each attempt: given up after two hours
UNDER_WAY = timedelta(minutes=2)  # a delivery whose worker died is taken up again
KEEP = timedelta(days=30)


@transaction.atomic
def channel_create(
    *, kind: str, target: str, by: User, allows_private: bool = False
) -> tuple[AlertChannel, str]:
    """A new place to tell alerts; with the secret of a webhook, which is shown this once.

    Raises DomainError for an address that is none, or that lies in a private network without
    `allows_private`.
    """
    target = target.strip()
    if kind not in Kind.values:
        raise DomainError(
            _("Choose one of: %(kinds)s.") % {"kinds": ", ".join(Kind.values)}, field="kind"
        )
    if AlertChannel.objects.count() >= MOST_CHANNELS:
        raise DomainError(
            _("There are %(most)s places already, which is the most.") % {"most": MOST_CHANNELS}
        )
    secret = ""
    if kind == Kind.EMAIL:
        _check_email(target)
    else:
        _check_webhook(target, allows_private=allows_private)
        secret = webhooks.secret_make()
    channel = AlertChannel(
        kind=kind,
        target=target,
        secret_sealed=seal(secret, purpose=PURPOSE) if secret else "",
        allows_private=allows_private and kind == Kind.WEBHOOK,
        created_by=by,
    )
    try:
        with transaction.atomic():
            channel.save(force_insert=True)
    except IntegrityError:
        raise Conflict(
            _("Alerts are told to %(target)s already.") % {"target": target}, field="target"
        ) from None
    event_record(channel, project=None, actor=by, verb="created", data={"target": target})
    return channel, secret


def _check_email(target: str) -> None:
    try:
        validate_email(target)
    except ValidationError:
        raise DomainError(
            _("“%(target)s” is no e-mail address.") % {"target": target[:100]}, field="target"
        ) from None


def _check_webhook(target: str, *, allows_private: bool) -> None:
    if len(target) > AlertChannel._meta.get_field("target").max_length:  # type: ignore[operator]
        raise DomainError(_("The address is too long."), field="target")
    try:
        target_resolve(target_read(target), allows_private=allows_private)
    except BadTarget as bad:
        raise DomainError(target_trouble(bad), field="target", code=f"target_{bad.code}") from None


def target_trouble(bad: BadTarget) -> str:
    """Why a webhook cannot go there."""
    if bad.code == "private":
        return _(
            "%(address)s lies in a private network. Allow that for this webhook if it is meant."
        ) % {"address": bad.what}
    if bad.code == "unknown":
        return _("The name %(host)s is not known here.") % {"host": bad.what}
    if bad.code == "credentials":
        return _("Leave name and password out of the address; the signature shows who sends.")
    return _("An address begins with https:// or http:// and names a host.")


@transaction.atomic
def channel_switch(channel_id: uuid.UUID, *, is_enabled: bool, by: User) -> AlertChannel:
    """Tells it no more, or again. What was on its way there is given up."""
    channel = AlertChannel.objects.editable_by(by).select_for_update().get(pk=channel_id)
    if channel.is_enabled != is_enabled:
        channel.is_enabled = is_enabled
        channel.save(update_fields=["is_enabled"])
        if not is_enabled:
            on_its_way = channel.deliveries.filter(state=State.WAITING)
            on_its_way.exclude(happening=Happening.TEST).update(
                state=State.FAILED, error=_("It was disabled before this arrived.")
            )
        event_record(channel, project=None, actor=by, verb="enabled" if is_enabled else "disabled")
    return channel


@transaction.atomic
def channel_delete(channel_id: uuid.UUID, *, by: User) -> None:
    """Forgets it, and what was on its way there."""
    channel = AlertChannel.objects.editable_by(by).select_for_update().get(pk=channel_id)
    event_record(channel, project=None, actor=by, verb="deleted", data={"target": channel.target})
    channel.delete()


@transaction.atomic
def channel_test(channel_id: uuid.UUID, *, by: User) -> AlertDelivery:
    """Sends something that looks like an alert; its delivery tells whether it arrived."""
    channel = AlertChannel.objects.editable_by(by).get(pk=channel_id)
    delivery = AlertDelivery.objects.create(
        channel=channel, happening=Happening.TEST, next_at=timezone.now()
    )
    _nudge([delivery.pk])
    return delivery


def deliveries_create(alert: Alert, happening: str) -> None:
    """One for each place in use, sent after the commit. A repetition makes no second one."""
    rows = [
        AlertDelivery(alert=alert, channel=channel, happening=happening, next_at=timezone.now())
        for channel in AlertChannel.objects.filter(is_enabled=True)
    ]
    AlertDelivery.objects.bulk_create(rows, ignore_conflicts=True)
    _nudge(row.pk for row in rows)


def _nudge(keys: Iterable[uuid.UUID]) -> None:
    """The control plane's worker sends: nodes need no way out."""
    for key in keys:
        async_task("nodes.tasks.alert_deliver", str(key), cluster=settings.Q_CLUSTER["name"])


def deliveries_sweep() -> int:
    """Sends what waits for its next attempt, and forgets what is old. How many were nudged."""
    now = timezone.now()
    AlertDelivery.objects.filter(created_at__lt=now - KEEP).exclude(state=State.WAITING).delete()
    due = AlertDelivery.objects.filter(state=State.WAITING, next_at__lte=now)
    keys = list(due.values_list("pk", flat=True)[:500])
    _nudge(keys)
    return len(keys)


def delivery_send(delivery_id: uuid.UUID) -> bool:
    """One attempt. Whether it arrived; what failed is tried again later, eight times at most.

    The receiver may get it twice if this process dies between sending and noting it: the id in
    the message stays the same.
    """
    now = timezone.now()
    waiting = AlertDelivery.objects.filter(pk=delivery_id, state=State.WAITING, next_at__lte=now)
    waiting = waiting.filter(Q(channel__is_enabled=True) | Q(happening=Happening.TEST))
    delivery = waiting.select_related("alert__node", "alert__gpu", "channel").first()
    if delivery is None:
        return False
    # Taken by whoever changes the row first; for others it is not due any more.
    mine = waiting.filter(attempts=delivery.attempts)
    if not mine.update(attempts=delivery.attempts + 1, next_at=now + UNDER_WAY):
        return False
    delivery.attempts += 1
    try:
        with override(_language(delivery.channel)):
            _send(delivery)
    except Exception as error:  # noqa: BLE001  whatever the other side does, it is tried again
        _note_failure(delivery, error)
        return False
    AlertDelivery.objects.filter(pk=delivery.pk).update(
        state=State.SENT, sent_at=timezone.now(), error=""
    )
    return True


def _language(channel: AlertChannel) -> str:
    """That of the user whose address it is; programs and strangers are told in the default."""
    reader = User.objects.filter(email__iexact=channel.target).first()
    return spoken(reader.language if reader else "")


def _note_failure(delivery: AlertDelivery, error: Exception) -> None:
    said = target_trouble(error) if isinstance(error, BadTarget) else str(error)
    given_up = delivery.attempts >= MOST_ATTEMPTS
    AlertDelivery.objects.filter(pk=delivery.pk, state=State.WAITING).update(
        state=State.FAILED if given_up else State.WAITING,
        next_at=timezone.now() + FIRST_PAUSE * 2 ** (delivery.attempts - 1),
        error=said or type(error).__name__,
    )
    logger.warning("alert to %s, attempt %s: %s", delivery.channel, delivery.attempts, said)


def _send(delivery: AlertDelivery) -> None:
    if delivery.channel.kind == Kind.EMAIL:
        _send_email(delivery)
    else:
        _send_webhook(delivery)


def _text(delivery: AlertDelivery) -> str:
    if delivery.alert is None:
        return _("This is a test. Alerts of the nodes will arrive like this.")
    text = alert_text(delivery.alert, to_operator=True)
    if delivery.happening == Happening.CLOSED:
        return _("Over: %(alert)s") % {"alert": text}
    return text


def _send_email(delivery: AlertDelivery) -> None:
    text = _text(delivery)
    EmailMessage(
        subject=f"[{settings.PRODUCT}] {text}"[:200].replace("\n", " "),
        body=text + "\n",
        to=[delivery.channel.target],
        headers={"Message-ID": f"<{delivery.pk}@alerts.trainer>"},
    ).send()


def _send_webhook(delivery: AlertDelivery) -> None:
    try:
        secret = unseal(delivery.channel.secret_sealed, purpose=PURPOSE)
    except Unsealable:
        raise DomainError(
            _("Its secret cannot be read any more. Delete this webhook and add it again.")
        ) from None
    body = json.dumps(_envelope(delivery), ensure_ascii=False).encode()
    stamp = int(timezone.now().timestamp())
    target = target_resolve(
        target_read(delivery.channel.target),
        allows_private=delivery.channel.allows_private,
    )
    webhooks.post(target, body, webhooks.headers(secret, f"evt_{delivery.pk}", stamp, body))


def _envelope(delivery: AlertDelivery) -> dict[str, object]:
    """What a receiver reads; fields are added, never changed, while `version` is the same."""
    alert = delivery.alert
    data: dict[str, object] = {"text": _text(delivery)}
    if alert is not None:
        data |= {
            "id": str(alert.pk),
            "kind": alert.kind,
            "state": alert.state,
            "node": alert.node.name,
            "gpu": alert.gpu.index if alert.gpu else None,
            "subject": alert.subject,
            "value": alert.value,
            "threshold": alert.threshold,
            "opened_at": alert.opened_at.isoformat() if alert.opened_at else None,
            "closed_at": alert.closed_at.isoformat() if alert.closed_at else None,
        }
    return {
        "id": f"evt_{delivery.pk}",
        "object": "event",
        "version": 1,
        "type": f"node.alert.{delivery.happening}",
        "created_at": int(delivery.created_at.timestamp()),
        "data": data,
    }
