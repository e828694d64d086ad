"""One thing of each kind, all of the project `team`, for the addresses that name one."""

from types import SimpleNamespace

from accounts import services as accounts
from accounts.models import Role


def of_accounts(people: SimpleNamespace) -> dict[str, object]:
    """People's own things."""
    key, _secret = accounts.api_key_create(people.owner, name="script")
    invitation, _code = accounts.invitation_create(created_by=people.operator, role=Role.VIEWER)
    return {"team": people.team, "user": people.member, "key": key, "invitation": invitation}


def everything(people: SimpleNamespace) -> dict[str, object]:
    """The things by the words that the table uses."""
    return {**of_accounts(people)}
