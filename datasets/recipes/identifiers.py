"""Numbers that name a person or an account: how they look, and what their issuers' rules refuse.

A pattern begins with the sign that a number begins with, and only then looks at what stands before
it: the search skips to such signs quickly, and most texts cost next to nothing.
"""

import re
from collections.abc import Callable
from datetime import date

# What finds a number (all of it, or its group `value`), and what makes the one form of it by which
# it is met again; nothing when it is none.
Rule = tuple[re.Pattern[str], Callable[[str], str]]

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECKS = "10X98765432"
# GB/T 2260: province (with Taiwan, Hong Kong and Macao), city to 70 or 90, county.
_REGION = re.compile(
    r"(?:1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[12])(?!00)(?:[0-6][0-9]|[79]0)(?!00)"
)
_TAIWAN = "ABCDEFGHJKLMNPQRSTUVXYWZIO"  # its letters in the order of their numbers, from 10 on
_IBANS = {
    15: "NO",
    16: "BE",
    18: "DK FI FK FO GL NL SD",
    19: "MK SI",
    20: "AT BA EE KZ LT LU MN XK",
    21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA",
    23: "AE GI IL IQ OM SO TL",
    24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "LY PT ST",
    26: "IS TR",
    27: "BI DJ FR GR IT MC MR SM",
    28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
    29: "BR EG PS QA UA",
    30: "JO KW MU YE",
    31: "MT SC",
    32: "LC",
    33: "RU",
}


def id_card_valid(number: str) -> bool:
    """Whether the last sign of an 18-digit Chinese identity-card number fits the others.

    GB 11643-1999 (ISO 7064 MOD 11-2). Residence permits of people from Hong Kong (81), Macao (82)
    and Taiwan (83) follow it, too.
    """
    if not re.fullmatch(r"[0-9]{17}[0-9Xx]", number):
        return False
    total = sum(int(digit) * weight for digit, weight in zip(number, _WEIGHTS, strict=False))
    return _CHECKS[total % 11] == number[-1].upper()


def id_card_old_valid(number: str) -> bool:
    """Whether 15 digits can be a Chinese identity card from before 1999, which has no checksum.

    GB 11643-1989: a region, a day of the twentieth century, three more digits. A card of American
    Express may look the same; that it is one its checksum says.
    """
    if not _REGION.match(number):
        return False
    try:
        date(1900 + int(number[6:8]), int(number[8:10]), int(number[10:12]))
    except ValueError:
        return False
    return not (number.startswith(("34", "37")) and luhn_valid(number))


def hong_kong_valid(number: str) -> bool:
    """Whether the check digit of a Hong Kong identity card fits, such as `A1234563`.

    One or two letters, six digits and 0 to 9 or A, as the Immigration Department issues them:
    weights 9 to 1 modulo 11, A is 10, and 36 stands for a first letter that is missing.
    """
    values = [int(sign, 36) for sign in number]
    values = values if len(values) == 9 else [36, *values]
    return sum(value * (9 - place) for place, value in enumerate(values)) % 11 == 0


def taiwan_valid(number: str) -> bool:
    """Whether the check digit of a Taiwan identity number fits, such as `A123456789`.

    A letter and nine digits, the first of them 1 or 2 for citizens and 8 or 9 for residents since
    2021 (Ministry of the Interior): the letter counts as two digits, weights 1, 9 to 1 and 1.
    """
    letter = 10 + _TAIWAN.index(number[0])
    total = letter // 10 + letter % 10 * 9 + int(number[-1])
    return (total + sum(int(number[place]) * (9 - place) for place in range(1, 9))) % 10 == 0


def luhn_valid(number: str) -> bool:
    """Whether digits pass the check of bank cards (ISO/IEC 7812-1, Luhn)."""
    total = 0
    for place, digit in enumerate(reversed(number)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def iban_valid(number: str) -> bool:
    """Whether the check digits of an international bank account number fit, without its spaces.

    ISO 13616-1 (ISO 7064 MOD 97-10). How long it is in its country the pattern knows, from the
    IBAN registry that SWIFT keeps.
    """
    return int("".join(str(int(sign, 36)) for sign in number[4:] + number[:4])) % 97 == 1


def _plain(text: str) -> str:
    return re.sub(r"[^0-9A-Za-z]", "", text).upper()


def _checked(valid: Callable[[str], bool]) -> Callable[[str], str]:
    """Accepts what is valid, however it is written."""

    def accept(text: str) -> str:
        number = _plain(text)
        return number if valid(number) else ""

    return accept


def _bank_card(number: str) -> bool:
    return 13 <= len(number) <= 19 and len(set(number)) > 1 and luhn_valid(number)


def _passport(number: str) -> bool:
    """Letters and digits as in ICAO Doc 9303, up to nine; with fewer digits it may be a word."""
    return sum(sign.isdigit() for sign in number) >= 5


def _labelled(labels: str, value: str) -> re.Pattern[str]:
    """A value beside one of the labels."""
    number = r"(?:[ _]?(?:[Nn]umber|NUMBER|[Nn]o\.?|NO\.?|#|号码?|號碼?))?[\"')）]?"
    between = r"\s{0,3}(?:is|was|为|為|是)?\s{0,3}[=:：]?\s{0,3}[\"'(（]?"
    return re.compile(rf"(?:{labels}){number}{between}(?P<value>{value})(?![0-9A-Za-z])")


# Social Security Administration, randomization of 2011: no area 000, 666 or 900 to 999, no group
# 00, no serial 0000. Nine digits without hyphens are anything, unless a label stands beside them.
_AREA, _GROUP, _SERIAL = r"[0-9]{2}(?<!000|666)", "(?!00)[0-9]{2}", "(?!0000)[0-9]{4}"
_SSN = "SSN|ssn|Ssn|Social [Ss]ecurity|social security|SOCIAL SECURITY|社会安全|社會安全|社安"
_END = r"(?![0-9A-Za-z_]|[.-][0-9A-Za-z])"
ID_CARDS: tuple[Rule, ...] = (
    (
        re.compile(
            r"[1-9](?<![0-9A-Za-z][0-9])[0-9]{5}(?:18|19|20)[0-9]{2}(?:0[1-9]|1[0-2])"
            r"(?:0[1-9]|[12][0-9]|3[01])[0-9]{3}[0-9Xx](?![0-9A-Za-z])"
        ),
        _checked(id_card_valid),
    ),
    (
        re.compile(r"[1-8](?<![0-9A-Za-z_.+-][0-9])[0-9]{14}" + _END),
        _checked(id_card_old_valid),
    ),
    (
        re.compile(r"[A-Z](?<![0-9A-Za-z_-][A-Z])[A-Z]?[0-9]{6} ?[(（][0-9A][)）]"),
        _checked(hong_kong_valid),
    ),
    (
        _labelled("HKID|hkid|身份证|身份證|[Ii]dentity card", "[A-Z]{1,2}[0-9]{6}[0-9A]"),
        _checked(hong_kong_valid),
    ),
    (
        re.compile(r"[A-Z](?<![0-9A-Za-z_-][A-Z])[1289][0-9]{8}" + _END),
        _checked(taiwan_valid),
    ),
    # National insurance numbers: HM Revenue & Customs, NIM39110, tells which letters are used.
    (
        re.compile(
            r"[A-CEGHJ-PR-TW-Z](?<![0-9A-Za-z_-][A-Z])[A-CEGHJ-NPR-TW-Z]"
            r"(?<!BG|GB|KN|NK|NT|TN|ZZ)(?:[ -]?[0-9]{2}){3}[ -]?[A-D]" + _END
        ),
        _plain,
    ),
    (
        re.compile(rf"[0-8](?<![0-9A-Za-z_.+-][0-9]){_AREA}-{_GROUP}-{_SERIAL}{_END}"),
        _plain,
    ),
    (
        _labelled(_SSN, rf"[0-8]{_AREA}[ -]?{_GROUP}[ -]?{_SERIAL}"),
        _plain,
    ),
    (
        # Not a day: what was issued then.
        _labelled(
            "passport|Passport|PASSPORT|护照|護照",
            "(?!(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])[0-3][0-9](?![0-9A-Za-z]))[A-Za-z0-9]{6,9}",
        ),
        _checked(_passport),
    ),
)
BANK_CARDS: tuple[Rule, ...] = (
    (
        re.compile(
            r"[A-Z](?<![0-9A-Za-z][A-Z])[A-Z][0-9]{2}(?:"
            + "|".join(
                rf"(?<={'..|'.join(codes.split())}..)(?:[ -]?[0-9A-Z]){{{length - 4}}}"
                for length, codes in _IBANS.items()
            )
            + ")(?![0-9A-Za-z])"
        ),
        _checked(iban_valid),
    ),
    (
        re.compile(r"[2-69](?<![0-9A-Za-z.+-][0-9])(?:[ -]?[0-9]){12,18}(?![0-9A-Za-z])"),
        _checked(_bank_card),
    ),
)
