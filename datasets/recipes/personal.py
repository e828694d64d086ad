"""Where a text holds personal data or keys. Every pattern is bounded, so time is linear."""

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass

import phonenumbers

from datasets.recipes.identifiers import BANK_CARDS, ID_CARDS, Rule
from datasets.recipes.names import ADDRESSES, NAMES

# In the order of the search.
KINDS = ("key", "email", "id_card", "bank_card", "phone", "ip", "address", "name")
# Each of these has five digits at least, and little between them. Few texts have: looking for that
# first is cheap, and spares the search of many patterns.
_NUMBERS = frozenset({"id_card", "bank_card", "phone"})
_DIGITS = re.compile(r"[0-9](?:[A-Za-z .()-]{0,4}[0-9]){4}")


@dataclass(frozen=True, slots=True)
class Found:
    """A stretch of the text, and what it is called when it is met again."""

    start: int
    end: int
    same: str


def found_in(text: str, kind: str) -> Iterator[Found]:
    """Everything of this kind, by its patterns one after the other, each from left to right."""
    if (kind in _NUMBERS and not _DIGITS.search(text)) or (kind == "email" and "@" not in text):
        return
    for pattern, accept in _PATTERNS[kind]:
        for match in pattern.finditer(text):
            group = "value" if "value" in pattern.groupindex else 0
            if same := accept(match.group(group)):
                yield Found(match.start(group), match.end(group), same)


def _digits(text: str) -> str:
    return re.sub(r"[^0-9]", "", text)


def _phone_cn(text: str) -> str:
    return _digits(text)[-11:]


def _phone_fixed(text: str) -> str:
    return _digits(text)


def _phone_abroad(text: str) -> str:
    """As the world's numbering plan has it; `00` is read as `+`, ten digits as American."""
    digits = _digits(text)
    world = "+" + digits.removeprefix("00") if text.startswith(("+", "00")) else "+1" + digits
    try:
        number = phonenumbers.parse(world, None)
    except phonenumbers.NumberParseException:
        return ""
    return world if phonenumbers.is_valid_number(number) else ""


def _ip(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return ""
    empty = address.is_loopback or address.is_unspecified
    return "" if empty or not any(sign.isdigit() for sign in text) else str(address)


_PATTERNS: dict[str, tuple[Rule, ...]] = {
    "key": (
        (
            re.compile(
                r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[A-Za-z0-9+/=\s\\]{16,8192}"
                r"-----END [A-Z ]{0,30}PRIVATE KEY-----"
            ),
            str,
        ),
        (
            re.compile(
                r"(?<![A-Za-z0-9_-])(?:sk-[A-Za-z0-9_-]{20,200}|(?:AKIA|ASIA)[0-9A-Z]{16}"
                r"|LTAI[0-9A-Za-z]{12,30}|AKID[0-9A-Za-z]{13,40}|AIza[0-9A-Za-z_-]{35}"
                r"|gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255}"
                r"|glpat-[A-Za-z0-9_-]{20,64}|hf_[A-Za-z0-9]{30,64}|xox[abprs]-[A-Za-z0-9-]{10,100}"
                r"|eyJ[A-Za-z0-9_-]{8,2048}\.eyJ[A-Za-z0-9_-]{8,4096}\.[A-Za-z0-9_-]{8,2048})"
                r"(?![A-Za-z0-9_-])"
            ),
            str,
        ),
        (
            re.compile(
                r"(?i)(?<![a-z])(?:password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key"
                r"|密码|密钥|口令)[\"']?\s{0,3}[=:：]\s{0,3}[\"']?"
                r"(?P<value>[A-Za-z0-9_\-+/=.!@#$%^&*]{8,200})"
            ),
            str,
        ),
    ),
    "email": (
        (
            re.compile(
                r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@"
                r"(?:[A-Za-z0-9-]{1,63}\.){1,6}[A-Za-z]{2,24}(?![A-Za-z0-9-])"
            ),
            str.lower,
        ),
    ),
    "id_card": ID_CARDS,
    "bank_card": BANK_CARDS,
    "phone": (
        (
            re.compile(
                r"(?<![0-9A-Za-z.+])(?:(?:\+|00)?86[ -]?)?1[3-9][0-9][ -]?[0-9]{4}[ -]?[0-9]{4}"
                r"(?![0-9A-Za-z])"
            ),
            _phone_cn,
        ),
        (
            re.compile(
                r"(?<![0-9A-Za-z.+-])(?:(?:\+|00)86[ -]?[1-9][0-9]{1,2}|\(?0[1-9][0-9]{1,2}\)?)"
                r"[ -][2-9][0-9]{6,7}(?![0-9A-Za-z-])"
            ),
            _phone_fixed,
        ),
        (
            re.compile(
                r"(?<![0-9A-Za-z.+])(?:\+|00)[1-9][0-9]{0,3}(?:[ .()-]{0,2}[0-9]){6,13}"
                r"(?![0-9A-Za-z])"
            ),
            _phone_abroad,
        ),
        (
            re.compile(
                r"(?<![0-9A-Za-z.+-])(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[-. ])"
                r"[2-9][0-9]{2}[-. ][0-9]{4}(?![0-9A-Za-z-])"
            ),
            _phone_abroad,
        ),
    ),
    "ip": (
        (
            re.compile(r"(?<![0-9A-Za-z.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![0-9A-Za-z]|\.[0-9])"),
            _ip,
        ),
        (
            re.compile(
                r"(?<![0-9A-Za-z:.])(?=[0-9A-Fa-f:]*:[0-9A-Fa-f]*:)[0-9A-Fa-f:]{3,39}(?![0-9A-Za-z:])"
            ),
            _ip,
        ),
    ),
    "address": tuple((pattern, str.strip) for pattern in ADDRESSES),
    "name": tuple((pattern, str.strip) for pattern in NAMES),
}
