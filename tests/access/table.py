"""Who gets what at every address of the site.

Each address, by its full name, has a row that says for each method who is let in. A method that a
row does not name must be refused to everybody. Add a row for a new address; the test says which.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from accounts.models import Role

# In the order of what they may do. `stranger` has an account and is in no project of the others.
PEOPLE = ("anonymous", "stranger", "viewer", "developer", "member", "owner", "operator")
RANK = {
    "anonymous": -1,
    "stranger": 0,
    "viewer": int(Role.VIEWER),
    "developer": int(Role.DEVELOPER),
    "member": int(Role.RESEARCHER),
    "owner": int(Role.MANAGER),
    "operator": 100,
}

IN = "in"  # let in: a page, a redirect onwards, or a refusal of what was sent (400, 409, 422)
LOGIN = "login"  # to the log-in page
Expected = Mapping[str, object]  # person -> IN, LOGIN or a status


def at_least(rank: int, *, outside: object = 404, anonymous: object = LOGIN) -> Expected:
    """Let in from this rank on; those below get `outside`, visitors without account `anonymous`."""
    return {
        who: anonymous if who == "anonymous" else IN if RANK[who] >= rank else outside
        for who in PEOPLE
    }


EVERYBODY = dict.fromkeys(PEOPLE, IN)
SIGNED_IN = at_least(0)
VIEWERS = at_least(Role.VIEWER)
DEVELOPERS = at_least(Role.DEVELOPER)
RESEARCHERS = at_least(Role.RESEARCHER)
MANAGERS = at_least(Role.MANAGER)
OPERATORS = at_least(100)


def over_api(expected: Expected) -> Expected:
    """The same for the API, where visitors without a key get a 401."""
    return {who: 401 if answer == LOGIN else answer for who, answer in expected.items()}


@dataclass(frozen=True)
class Row:
    """What an address answers. `objects` says which thing stands for an argument of the address.

    `data` is what is sent with methods that write; often nothing, because a refusal of what was
    sent is as good a proof of being let in as success.
    """

    get: Expected | None = None
    post: Expected | None = None
    put: Expected | None = None
    patch: Expected | None = None
    delete: Expected | None = None
    objects: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    query: str = ""
    any_method: bool = (
        False  # not ours: answers methods that the row does not name, and changes nothing
    )


def api(objects: str = "", data: Mapping[str, Any] | None = None, **methods: Expected) -> Row:
    """A row of the API; `objects` names the thing that `pk` stands for."""
    named = {"pk": objects} if objects else {}
    return Row(
        objects=named, data=data or {}, **{name: over_api(who) for name, who in methods.items()}
    )
