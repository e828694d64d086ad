"""Another e-mail address: the password is asked for, and the new mailbox where mail goes out."""

import re
from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from django.core import mail, signing
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import services
from accounts.models import Event, User

PASSWORD = "long-Enough-77"
CHANGE = "accounts:email_change"
CONSOLE = "django.core.mail.backends.console.EmailBackend"


@pytest.fixture
def ada(people, client) -> User:
    """Signed in, and known to allauth by a row of its own."""
    people.owner.set_password(PASSWORD)
    people.owner.save()
    EmailAddress.objects.create(user=people.owner, email=people.owner.email, primary=True)
    client.force_login(people.owner)
    return people.owner


def ask(client, email: str = "new@example.org", password: str = PASSWORD):
    return client.post(reverse(CHANGE), {"email": email, "password": password})


def link() -> str:
    """The page that the newest message leads to."""
    return re.search(r"https?://[^/]+(/settings/email/confirm/\S+)", mail.outbox[-1].body)[1]


def verbs(user: User) -> list[str]:
    return [event.verb for event in Event.objects.of(user)]


def test_the_address_counts_when_its_mailbox_confirms_it(client, ada) -> None:
    assert ask(client, " New@Example.org ").status_code == 302
    ada.refresh_from_db()
    assert (ada.email, ada.pending_email) == ("owner@example.org", "new@example.org")
    assert [message.to for message in mail.outbox] == [["new@example.org"]]
    page = link()
    client.logout()
    assert "new@example.org" in client.get(page).content.decode()
    ada.refresh_from_db()
    assert ada.email == "owner@example.org", "looking at the page changes nothing"
    assert client.post(page).status_code == 302
    ada.refresh_from_db()
    assert (ada.email, ada.pending_email) == ("new@example.org", "")
    assert not EmailAddress.objects.filter(user=ada).exists()
    assert mail.outbox[-1].to == ["owner@example.org"]
    assert "new@example.org" in mail.outbox[-1].body
    assert verbs(ada) == ["email_asked", "email_changed"]


def test_until_then_the_new_address_opens_nothing(client, ada) -> None:
    ask(client)
    client.logout()
    mail.outbox.clear()
    client.post(reverse("account_reset_password"), {"email": "new@example.org"})
    assert mail.outbox == []
    wrong = {"login": "new@example.org", "password": PASSWORD}
    assert client.post(reverse("account_login"), wrong).status_code == 422
    client.post(reverse("account_reset_password"), {"email": "owner@example.org"})
    assert [message.to for message in mail.outbox] == [["owner@example.org"]]


def test_without_outgoing_mail_the_password_is_enough(client, ada, settings) -> None:
    settings.EMAIL_BACKEND = CONSOLE
    ask(client)
    ada.refresh_from_db()
    assert (ada.email, ada.pending_email) == ("new@example.org", "")


@pytest.mark.parametrize(
    ("email", "password", "blamed"),
    [
        ("new@example.org", "wrong", "password"),
        ("new@example.org", "", "password"),
        ("Viewer@example.org", PASSWORD, "email"),
        ("nonsense", PASSWORD, "email"),
        ("Owner@example.org", PASSWORD, "email"),
    ],
)
def test_a_refusal_names_the_field_and_changes_nothing(
    client, ada, email, password, blamed
) -> None:
    refused = ask(client, email, password)
    assert refused.status_code == 422
    assert set(refused.context["email_form"].errors) == {blamed}
    ada.refresh_from_db()
    assert (ada.email, ada.pending_email) == ("owner@example.org", "")
    assert mail.outbox == []
    assert verbs(ada) == []


def test_the_profile_cannot_change_it_on_the_way(client, ada) -> None:
    client.post(reverse("accounts:settings"), {"first_name": "Ada", "email": "new@example.org"})
    ada.refresh_from_db()
    assert (ada.first_name, ada.email) == ("Ada", "owner@example.org")


def test_guesses_are_limited(client, ada) -> None:
    answers = [ask(client, password=f"guess-{number}").status_code for number in range(11)]
    assert answers == [422] * 10 + [429]


def test_a_link_is_good_once_for_the_newest_wish_and_three_days(client, ada) -> None:
    ask(client)
    first = link()
    ask(client, "newer@example.org")
    newest = link()
    assert client.post(first).status_code == 422
    assert client.post(newest).status_code == 302
    for page in (first, newest, reverse("accounts:email_confirm", args=["nonsense"])):
        assert client.get(page).status_code == 422
        assert "no longer good" in client.post(page).content.decode()
    ada.refresh_from_db()
    assert ada.email == "newer@example.org"


def test_an_old_link_is_refused(client, ada, monkeypatch) -> None:
    four_days_ago = (timezone.now() - timedelta(days=4)).timestamp()
    monkeypatch.setattr(signing.time, "time", lambda: four_days_ago)
    ask(client)
    monkeypatch.undo()
    assert client.post(link()).status_code == 422


def test_an_address_that_somebody_took_meanwhile_is_refused(client, ada, people) -> None:
    ask(client)
    User.objects.filter(pk=people.viewer.pk).update(email="new@example.org")
    assert client.post(link()).status_code == 422
    ada.refresh_from_db()
    assert ada.email == "owner@example.org"


def test_the_change_can_be_dropped(client, ada) -> None:
    ask(client)
    assert "waits to be confirmed" in client.get(reverse("accounts:settings")).content.decode()
    client.post(reverse("accounts:email_change_cancel"))
    assert client.post(link()).status_code == 422
    ada.refresh_from_db()
    assert (ada.email, ada.pending_email) == ("owner@example.org", "")


def test_when_no_message_can_be_sent_nothing_changes(
    client, ada, settings, unused_tcp_port
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", unused_tcp_port
    refused = ask(client)
    assert refused.status_code == 422
    assert "No message could be sent" in refused.context["email_form"].errors["email"][0]
    ada.refresh_from_db()
    assert (ada.email, ada.pending_email) == ("owner@example.org", "")


def test_the_message_speaks_the_readers_language(client, ada) -> None:
    services.user_profile_set(ada.pk, language="zh-hans")
    ask(client)
    assert "确认" in mail.outbox[-1].subject


def test_the_same_over_the_api(ada) -> None:
    client = APIClient()
    client.force_authenticate(ada)
    silent = client.patch(reverse("api-me"), {"email": "new@example.org"})
    assert (silent.status_code, silent.json()["field"]) == (422, "email")
    address = reverse("api-me-email")
    wrong = client.post(address, {"email": "new@example.org", "password": "wrong"})
    assert (wrong.status_code, wrong.json()["field"]) == (422, "password")
    asked = client.post(address, {"email": "new@example.org", "password": PASSWORD}).json()
    assert (asked["email"], asked["pending_email"]) == ("owner@example.org", "new@example.org")
    key = link().rstrip("/").rpartition("/")[2]
    confirmed = APIClient().post(reverse("api-me-email-confirm"), {"key": key})
    assert confirmed.status_code == 204
    assert User.objects.get(pk=ada.pk).email == "new@example.org"
    client.post(address, {"email": "other@example.org", "password": PASSWORD})
    assert client.delete(address).status_code == 204
    assert User.objects.get(pk=ada.pk).pending_email == ""


def test_operators_set_an_address_at_once(client, ada, people) -> None:
    services.email_set(ada.pk, email="set@example.org", by=people.operator)
    assert User.objects.get(pk=ada.pk).email == "set@example.org"
    assert mail.outbox == []
    assert Event.objects.of(ada).get(verb="email_changed").actor == people.operator
