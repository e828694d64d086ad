"""Every address of the site, against every person: who is let in, and who is not.

The addresses come from the URL configuration, so that a new one cannot be forgotten.
"""

import copy
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import pytest
from django.core.cache import cache
from django.db import transaction
from django.test import Client
from django.urls import NoReverseMatch, reverse

from accounts import services
from tests.access import rows_accounts, rows_work
from tests.access.addresses import METHODS, Address, addresses
from tests.access.objects import everything
from tests.access.table import IN, LOGIN, PEOPLE, Row

pytestmark = pytest.mark.grown
# A name may be followed by a word in brackets: a further row for another thing of the kind.
ROWS: dict[str, Row] = {**rows_accounts.ROWS, **rows_work.ROWS}
ADMIN = "admin:"
INSIDERS = ("owner", "operator")
REFUSED = {401, 403, 404, 405}
# Which thing an argument of an address stands for, where the row does not say.
ARGUMENTS = {
    "project_id": "team",
    "user_id": "user",
    "uidb36": "1",
    "key": "nonsense",
    "name": "nonsense",
}


class Rollback(Exception):
    """Takes back what a request did."""


def test_every_address_has_a_row() -> None:
    known = [one for one in addresses() if not one.name.startswith(ADMIN)]
    missing = [f"{one.name}   /{one.route}" for one in known if one.name not in ROWS]
    assert not missing, "Say in tests/access/rows_<app>.py who is let in at:\n  " + "\n  ".join(
        missing
    )
    gone = {name.partition(" ")[0] for name in ROWS} - {one.name for one in known}
    assert not gone, f"Rows in tests/access without an address: {sorted(gone)}"


def test_every_method_of_the_api_has_an_answer_in_its_row() -> None:
    silent = [
        f"{one.name}: {method}"
        for one in addresses()
        if one.methods and one.name in ROWS
        for method in one.methods
        if getattr(ROWS[one.name], method) is None
    ]
    assert not silent, "Say in tests/access/rows_<app>.py who is let in with:\n  " + "\n  ".join(
        silent
    )


def url_of(address: Address, row: Row, things: dict[str, Any]) -> str:
    arguments = {}
    for name in address.arguments:
        word = row.objects.get(name) or ARGUMENTS.get(name) or name.removesuffix("_id")
        thing = things.get(word, word)
        arguments[name] = str(getattr(thing, "pk", thing))
    return reverse(address.name, kwargs=arguments) + (f"?{row.query}" if row.query else "")


def sent(row: Row, things: dict[str, Any]) -> dict[str, Any]:
    return {
        name: str(things[value].pk) if isinstance(value, str) and value in things else value
        for name, value in row.data.items()
    }


def ask(client: Client, method: str, url: str, data: dict[str, Any], *, api: bool) -> Any:
    """The answer's status, or LOGIN; what the request changed is taken back."""
    body: dict[str, Any] = {}
    if method != "get":
        body = {"data": data}
        if api or method != "post":
            body["content_type"] = "application/json"
    answer, cookies = None, copy.deepcopy(client.cookies)
    cache.clear()  # limits of attempts, which Redis does not take back
    try:
        with transaction.atomic():
            answer = getattr(client, method)(url, **body)
            raise Rollback
    except Rollback:
        client.cookies = cookies
    assert answer is not None
    if answer.status_code == HTTPStatus.FOUND and "/account/login/" in answer["Location"]:
        return LOGIN
    return answer.status_code


def fits(expected: object, got: object) -> bool:
    if expected == IN:
        return isinstance(got, int) and got < 500 and got not in REFUSED
    return expected == got


def clients(people: SimpleNamespace) -> dict[str, Client]:
    found = {}
    for who in PEOPLE:
        found[who] = Client(raise_request_exception=False)
        if who != "anonymous":
            found[who].force_login(getattr(people, who))
    return found


def areas() -> dict[str, list[tuple[Address, Row]]]:
    """Addresses by the first word of their route, so that a failure says where to look."""
    found = defaultdict(list)
    for one in addresses():
        parts = one.route.split("/")
        area = "/".join(parts[:3]) if parts[0] == "api" else parts[0] or "home"
        found[area] += [(one, row) for name, row in ROWS.items() if name.split(" ")[0] == one.name]
    return {area: rows for area, rows in found.items() if rows}


@pytest.mark.parametrize("area", sorted(areas()))
def test_who_is_let_in(area: str, people: SimpleNamespace, home: Path) -> None:
    things, visitors = everything(people, home), clients(people)
    wrong = []
    for address, row in areas()[area]:
        url, data = url_of(address, row, things), sent(row, things)
        for method in METHODS:
            expected = getattr(row, method)
            if expected is None and row.any_method:
                continue
            # Who manages the project may do most: what is refused to the owner is refused to all.
            for who in PEOPLE if expected else ("owner",):
                got = ask(visitors[who], method, url, data, api=address.is_api)
                if expected is None:
                    if got != LOGIN and got not in REFUSED:
                        wrong.append(f"{method} {url} ({address.name}): {who} got {got}, no row")
                elif not fits(expected[who], got):
                    wrong.append(
                        f"{method} {url} ({address.name}): {who} got {got}, not {expected[who]}"
                    )
    assert not wrong, "\n  ".join(["", *wrong])


def test_the_admin_is_for_operators(people: SimpleNamespace) -> None:
    visitors = clients(people)
    inside = []
    for address in addresses():
        if not address.name.startswith(ADMIN) or "without a name" in address.name:
            continue
        arguments = {name: "accounts" if name == "app_label" else "1" for name in address.arguments}
        url = reverse(address.name, kwargs=arguments)
        for who in PEOPLE[:-1]:
            got = ask(visitors[who], "get", url, {}, api=False)
            allowed = {LOGIN, 302, 403, 404} | ({200} if "jsi18n" in url else set())
            if got not in allowed or (got == 302 and not url.endswith(("/logout/", "/"))):
                inside.append(f"{url}: {who} got {got}")
    assert not inside, "\n  ".join(["", *inside])


def odd_queries() -> list[str]:
    """What nobody writes by hand: a zero byte, which PostgreSQL refuses, and numbers without end.

    One bad key may lead away before the words are read, so they come apart.
    """
    groups = (
        ("q", "search", "name"),
        ("from", "row", "page", "page_size", "attempt", "offset", "before", "after", "limit",
         "cutoff", "shortest", "longest", "seed"),
        ("kind", "state", "shape", "scope", "view", "tab", "part", "series", "deployment",
         "version", "model", "dataset", "decision", "flag", "language", "order", "ordering",
         "sort", "span", "of", "again", "directory", "path", "at", "id", "as", "form", "zoom",
         "tokenizer"),
    )  # fmt: skip
    signs = ("\0", "9" * 5000)
    return [urlencode(dict.fromkeys(names, sign)) for names in groups for sign in signs]


def odd_urls(address: Address, row: Row, things: dict[str, Any]) -> Iterator[str]:
    """The address with odd queries, and with a zero byte for each argument that takes one."""
    url = url_of(address, row, things)
    yield from (f"{url.partition('?')[0]}?{query}" for query in odd_queries())
    for name in address.arguments:
        with suppress(NoReverseMatch):
            yield url_of(address, replace(row, objects={**row.objects, name: "\0"}), things)


def test_no_odd_text_in_an_address_is_an_error(people: SimpleNamespace, home: Path) -> None:
    things, visitors = everything(people, home), clients(people)
    wrong = []
    for address in addresses():
        row = ROWS.get(address.name)
        insider = next((who for who in INSIDERS if row and row.get and row.get[who] == IN), None)
        if row is None or insider is None:
            continue
        for url in odd_urls(address, row, things):
            got = ask(visitors[insider], "get", url, {}, api=address.is_api)
            if isinstance(got, int) and got >= HTTPStatus.INTERNAL_SERVER_ERROR:
                wrong.append(f"{url[:200]} ({address.name}): {got}")
    assert not wrong, "\n  ".join(["", *wrong])


@pytest.mark.parametrize("scope", ["chat", "read"])
def test_a_narrow_key_is_refused_on_the_api(
    people: SimpleNamespace, home: Path, scope: str
) -> None:
    things = everything(people, home)
    _key, secret = services.api_key_create(people.owner, name="narrow", scope=scope)
    client = Client(headers={"authorization": f"Bearer {secret}"}, raise_request_exception=False)
    open_to_all = {"api-register", "api-login", "api-me-email-confirm", "api-root"}
    inside = []
    for address in addresses():
        row = ROWS.get(address.name)
        if not address.route.startswith("api/v1/") or row is None or address.name in open_to_all:
            continue
        if address.name.startswith("api-agent-"):  # knows the keys of nodes only
            continue
        url = url_of(address, row, things)
        for method in METHODS:
            if getattr(row, method) is None or (scope == "read" and method == "get"):
                continue
            got = ask(client, method, url, sent(row, things), api=True)
            if got != 403:
                inside.append(f"{method} {url} ({address.name}): {got}")
    assert not inside, "\n  ".join(["", *inside])
