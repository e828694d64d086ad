"""What is told of nodes' trouble: letters and signed webhooks, to real receivers."""

import base64
import email
import hashlib
import hmac
import json
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from email import policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from aiosmtpd.controller import Controller
from django.db import connection
from django.urls import reverse
from django.utils import timezone
from django_q.models import OrmQ
from django_q.signing import SignedPackage

from common.addresses import is_loopback, is_public
from common.errors import DomainError
from common.outbound import Target
from nodes import services, webhooks
from nodes.models import AlertChannel, AlertDelivery, Node
from nodes.services import channels
from nodes.services.silence import Witness
from nodes.tasks import alert_deliver
from tests.nodes.parts import register, witnessed

pytestmark = pytest.mark.django_db(transaction=True)


class Receiver(BaseHTTPRequestHandler):
    """Answers with what the test wants and keeps what came."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.got.append(SimpleNamespace(path=self.path, headers=self.headers, body=body))
        answers = self.server.answers
        self.send_response(answers.pop(0) if answers else 204)
        if self.path == "/moved":
            self.send_header("location", "/elsewhere")
        self.end_headers()

    def log_message(self, *args) -> None:
        """Nothing."""


@pytest.fixture
def receiver() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    server.got, server.answers = [], []
    server.url = f"http://127.0.0.1:{server.server_port}/hook?a=1"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def mail(settings) -> Iterator[list]:
    """A real SMTP server, and the letters that it took."""
    letters: list = []

    class Box:
        async def handle_DATA(self, server, session, envelope) -> str:
            letters.append(envelope)
            return "250 OK"

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    controller = Controller(Box(), hostname="127.0.0.1", port=port)
    controller.start()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", port
    yield letters
    controller.stop()


def queued() -> list[tuple[str, str]]:
    """The tasks that wait for the control plane's worker: function and first argument."""
    packages = [SignedPackage.loads(row.payload) for row in OrmQ.objects.filter(key="web")]
    return [(package["func"], package["args"][0]) for package in packages]


def deliver() -> list[bool]:
    """What the control plane's worker does with them."""
    found = [arg for name, arg in queued() if name == "nodes.tasks.alert_deliver"]
    OrmQ.objects.all().delete()
    return [services.delivery_send(delivery) for delivery in found]


def silent(node: Node) -> None:
    Node.objects.filter(pk=node.pk).update(heartbeat_at=timezone.now() - timedelta(minutes=3))
    services.alerts_silence(witnessed(180))


def test_a_webhook_gets_both_ends_signed(people, receiver) -> None:
    node = register()
    channel, secret = services.channel_create(
        kind="webhook", target=receiver.url, by=people.operator, allows_private=True
    )
    assert secret.startswith("whsec_")
    assert secret not in json.dumps(list(AlertChannel.objects.values()), default=str)
    silent(node)
    assert deliver() == [True]
    services.node_beat(node.pk, engines=[])
    services.alerts_silence(Witness())
    assert deliver() == [True]
    assert deliver() == []
    opened, closed = receiver.got
    assert opened.path == "/hook?a=1"
    for got, what in ((opened, "opened"), (closed, "closed")):
        body = json.loads(got.body)
        assert (body["type"], body["version"]) == (f"node.alert.{what}", 1)
        assert (body["data"]["kind"], body["data"]["node"]) == ("silence", "gpu-01")
        assert body["id"] == got.headers["webhook-id"]
        stamp = got.headers["webhook-timestamp"]
        assert abs(int(stamp) - timezone.now().timestamp()) < 60
        key = base64.b64decode(secret.removeprefix("whsec_"))
        signed = f"{body['id']}.{stamp}.".encode() + got.body
        expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        assert got.headers["webhook-signature"] == f"v1,{expected}"
    assert json.loads(opened.body)["id"] != json.loads(closed.body)["id"]
    assert set(channel.deliveries.values_list("state", flat=True)) == {"sent"}


def test_the_signature_is_what_other_peoples_code_checks(people, receiver) -> None:
    """The `openai` package verifies webhooks of the same standard."""
    from openai import OpenAI

    channel, secret = services.channel_create(
        kind="webhook", target=receiver.url, by=people.operator, allows_private=True
    )
    services.channel_test(channel.pk, by=people.operator)
    assert deliver() == [True]
    (got,) = receiver.got
    client = OpenAI(api_key="none", webhook_secret=secret)
    client.webhooks.verify_signature(got.body.decode(), dict(got.headers.items()))
    with pytest.raises(Exception, match="signature"):
        client.webhooks.verify_signature(got.body.decode() + " ", dict(got.headers.items()))


def test_what_does_not_arrive_is_tried_again_later_and_given_up_in_the_end(
    people, receiver
) -> None:
    node = register()
    services.channel_create(
        kind="webhook", target=receiver.url, by=people.operator, allows_private=True
    )
    receiver.answers += [500, 503, 302]
    silent(node)
    pauses = []
    for error in ("HTTP 500", "HTTP 503", "HTTP 302"):
        assert deliver() == [False]
        row = AlertDelivery.objects.get()
        assert (row.state, row.error) == ("waiting", error)
        pauses.append(round((row.next_at - timezone.now()).total_seconds() / 60))
        assert services.deliveries_sweep() == 0  # not yet
        assert not services.delivery_send(row.pk)  # a nudge that comes too early does nothing
        AlertDelivery.objects.update(next_at=timezone.now())
        assert services.deliveries_sweep() == 1
    assert pauses == [1, 2, 4]
    assert deliver() == [True]
    assert len({got.headers["webhook-id"] for got in receiver.got}) == 1  # the same news
    receiver.answers += [500] * 20
    services.node_beat(node.pk, engines=[])
    services.alerts_silence(Witness())
    for _attempt in range(channels.MOST_ATTEMPTS):
        deliver()
        AlertDelivery.objects.filter(state="waiting").update(next_at=timezone.now())
        services.deliveries_sweep()
    row = AlertDelivery.objects.get(happening="closed")
    assert (row.state, row.attempts) == ("failed", channels.MOST_ATTEMPTS)
    assert services.deliveries_sweep() == 0


def test_two_workers_send_once(people, receiver) -> None:
    node = register()
    services.channel_create(
        kind="webhook", target=receiver.url, by=people.operator, allows_private=True
    )
    silent(node)
    key = AlertDelivery.objects.get().pk
    start = threading.Barrier(4)

    def send() -> None:
        try:
            start.wait()
            alert_deliver(str(key))
        finally:
            connection.close()

    threads = [threading.Thread(target=send) for _each in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(receiver.got) == 1


def test_a_letter(people, mail) -> None:
    node = register()
    services.channel_create(kind="email", target="ops@example.org", by=people.operator)
    silent(node)
    assert deliver() == [True]
    (envelope,) = mail
    assert envelope.rcpt_tos == ["ops@example.org"]
    letter = email.message_from_bytes(envelope.content, policy=policy.default)
    assert "gpu-01 has not reported for 3 min." in letter["subject"]
    assert "gpu-01 has not reported for 3 min." in letter.get_content()


def test_a_mail_server_that_is_away_is_asked_again(people, settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    channel, _none = services.channel_create(
        kind="email", target="ops@example.org", by=people.operator
    )
    services.channel_test(channel.pk, by=people.operator)
    assert deliver() == [False]
    row = AlertDelivery.objects.get()
    assert row.state == "waiting"
    assert "refused" in row.error


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("http://127.0.0.1:8000/", "target_private"),
        ("http://localhost/", "target_private"),
        ("http://10.1.2.3/", "target_private"),
        ("http://169.254.169.254/latest/meta-data/", "target_private"),
        ("http://[::1]/", "target_private"),
        ("http://[::ffff:127.0.0.1]/", "target_private"),
        ("http://[64:ff9b::7f00:1]/", "target_private"),
        ("http://0.0.0.0/", "target_private"),
        ("http://2130706433/", "target_private"),
        ("https://user:secret@example.org/", "target_credentials"),
        ("ftp://example.org/", "target_address"),
        ("file:///etc/passwd", "target_address"),
        ("http://", "target_address"),
        ("http://example.org:99999/", "target_address"),
        ("http://example.org/ x", "target_address"),
        ("http://example.org/#part", "target_address"),
        ("http://no-such-host.invalid/", "target_unknown"),
        ("http://example.org/" + "x" * 600, "refused"),
    ],
)
@pytest.mark.django_db(transaction=False)
def test_addresses_to_which_nothing_is_sent(people, target, code) -> None:
    with pytest.raises(DomainError) as caught:
        services.channel_create(kind="webhook", target=target, by=people.operator)
    assert (caught.value.code, caught.value.field) == (code, "target")
    assert not AlertChannel.objects.exists()


def test_an_address_is_looked_at_again_before_each_sending(people, receiver) -> None:
    channel, _secret = services.channel_create(
        kind="webhook", target=receiver.url, by=people.operator, allows_private=True
    )
    # As if the name had led elsewhere when it was checked.
    AlertChannel.objects.update(allows_private=False)
    services.channel_test(channel.pk, by=people.operator)
    assert deliver() == [False]
    assert receiver.got == []
    assert "private" in AlertDelivery.objects.get().error


def test_the_connection_goes_to_the_address_that_was_checked(receiver) -> None:
    """Whatever the name means: nothing asks for it a second time."""
    target = Target("http", "name.invalid", receiver.server_port, "/", ("127.0.0.1",))
    assert webhooks.post(target, b"{}", {}) == 204
    assert receiver.got[0].headers["host"] == f"name.invalid:{receiver.server_port}"


def test_redirects_are_not_followed(receiver) -> None:
    receiver.answers += [301]
    target = Target("http", "here", receiver.server_port, "/moved", ("127.0.0.1",))
    with pytest.raises(webhooks.NotTaken, match="301"):
        webhooks.post(target, b"{}", {})
    assert [got.path for got in receiver.got] == ["/moved"]


def test_who_owns_an_address() -> None:
    for address in ("8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"):
        assert is_public(address)
    for address in ("192.168.0.1", "100.64.0.1", "224.0.0.1", "fe80::1%eth0", "2002:7f00:1::"):
        assert not is_public(address)
    assert is_loopback("::ffff:127.0.0.1")
    assert not is_loopback("8.8.8.8")
    assert not is_loopback("nonsense")


def test_channels(people) -> None:
    channel, secret = services.channel_create(
        kind="email", target=" ops@example.org ", by=people.operator
    )
    assert (channel.target, secret) == ("ops@example.org", "")
    for fields in ({"target": "ops@example.org"}, {"target": "nobody"}, {"kind": "pigeon"}):
        with pytest.raises(DomainError):
            services.channel_create(
                **{"kind": "email", "target": "x@example.org", **fields}, by=people.operator
            )
    services.channel_switch(channel.pk, is_enabled=False, by=people.operator)
    silent(register())
    assert not AlertDelivery.objects.exists()
    for act in (services.channel_delete, services.channel_test):
        with pytest.raises(AlertChannel.DoesNotExist):
            act(channel.pk, by=people.owner)
    services.channel_delete(channel.pk, by=people.operator)
    assert not AlertChannel.objects.exists()


def test_nothing_goes_to_a_place_that_was_disabled_meanwhile(people, receiver) -> None:
    """Neither what was on its way, after it is enabled again, nor what was just being taken up."""
    channel, _secret = services.channel_create(
        kind="webhook", target=receiver.url, by=people.operator, allows_private=True
    )
    silent(register())
    AlertChannel.objects.update(is_enabled=False)
    assert deliver() == [False]
    AlertChannel.objects.update(is_enabled=True)
    services.channel_switch(channel.pk, is_enabled=False, by=people.operator)
    services.channel_switch(channel.pk, is_enabled=True, by=people.operator)
    services.deliveries_sweep()
    assert deliver() == []
    delivery = AlertDelivery.objects.get()
    assert (delivery.state, delivery.attempts) == ("failed", 0)
    assert "disabled" in delivery.error
    services.channel_switch(channel.pk, is_enabled=False, by=people.operator)
    services.channel_test(channel.pk, by=people.operator)
    assert deliver() == [True]
    assert len(receiver.got) == 1


def test_a_secret_that_cannot_be_read_any_more(people, receiver, settings) -> None:
    channel, _secret = services.channel_create(
        kind="webhook", target=receiver.url, by=people.operator, allows_private=True
    )
    services.channel_test(channel.pk, by=people.operator)
    settings.SECRET_KEY = "another one"
    AlertChannel.objects.update(secret_sealed="nonsense")
    assert not services.delivery_send(AlertDelivery.objects.get().pk)
    assert "secret" in AlertDelivery.objects.get().error


def test_the_page_reads_one_message_of_each_channel(client, people) -> None:
    first, second = (
        services.channel_create(kind="email", target=f"{n}@example.org", by=people.operator)[0]
        for n in "ab"
    )
    for _ in range(3):
        services.channel_test(first.pk, by=people.operator)
    last = services.channel_test(first.pk, by=people.operator)
    client.force_login(people.operator)
    page = client.get(reverse("nodes:alert_list"))
    shown = {channel: list(channel.deliveries.all()) for channel in page.context["channels"]}
    assert shown == {first: [last], second: []}
