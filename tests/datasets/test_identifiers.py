"""Numbers of people and accounts: which are told, and which only look like them."""

import random
import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.planting import DECOYS, Maker
from datasets.recipes.identifiers import hong_kong_valid, iban_valid, taiwan_valid
from datasets.recipes.masking import Masker
from datasets.recipes.placeholders import RowNumbers
from datasets.statistics.counting import SOUGHT


def masked(text: str, kinds: list[str] = SOUGHT) -> str:
    return Masker(kinds, RowNumbers({"q": text})).masked(text)


@pytest.mark.parametrize(
    "text",
    [
        "810000199408230021",  # residents of Hong Kong, Macao and Taiwan
        "830000199201300022",
        "110105491231002",  # before 1999
        "A123456(3)",
        "AB987654（3）",
        "E364912(5)",
        "A123456789",
        "A800000014",
        "AB123456C",
        "AB 12 34 56 C",
        "536-90-4399",
    ],
)
def test_identity_numbers(text) -> None:
    assert masked(f"我的是{text}，请记下") == "我的是[ID_CARD_1]，请记下"
    assert masked(f"Mine is {text}.") == "Mine is [ID_CARD_1]."
    assert masked(f"X{text}") == f"X{text}"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("SSN 536904399 or 536904399", "SSN [ID_CARD_1] or 536904399"),
        ('{"ssn": "536 90 4399"}', '{"ssn": "[ID_CARD_1]"}'),
        ("Social Security Number (SSN): 536904399", "Social Security Number (SSN): [ID_CARD_1]"),
        ("社会安全号码：536904399", "社会安全号码：[ID_CARD_1]"),
        ("HKID A1234563, lot A1234563", "HKID [ID_CARD_1], lot A1234563"),
        ("香港身份证号码：A1234563", "香港身份证号码：[ID_CARD_1]"),
        ("Passport No. E12345678", "Passport No. [ID_CARD_1]"),
        ("my passport number is C01X00T47", "my passport number is [ID_CARD_1]"),
        ("护照号码是：EA1234567，E12345678", "护照号码是：[ID_CARD_1]，E12345678"),
        (
            "passport 20240131, passport control 123456",
            "passport 20240131, passport control 123456",
        ),
    ],
)
def test_identity_numbers_beside_their_label(text, wanted) -> None:
    assert masked(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "810000199408230022",
        "110105490230002",  # the 30th of February
        "990105491231002",  # no province
        "A123456(4)",
        "A123456780",
        "QQ123456C",
        "GB123456A",
        "AO123456A",
        "AB123456E",
        "000-12-3456",
        "666-12-3456",
        "912-34-5678",
        "536-00-4399",
        "536-90-0000",
        "SSN 666904399",
        "HKID A1234564",
        "GB28 NWBK 6016 1331 9268 19",
        "DE8937040044053201300",  # a digit short
        "XX89370400440532013000",
        "138A123456789",
        "9e107d9d372bb6826bd81d3542a419d6",
        "A123456789-01",
    ],
)
def test_what_only_looks_like_them_stays(text) -> None:
    for one in (text, f"编号{text}。", f"No. {text}, please"):
        assert masked(one, ["id_card", "bank_card"]) == one


def test_decoys_of_the_benchmark_stay() -> None:
    assert [text for text in DECOYS if masked(text) != text] == []


@pytest.mark.parametrize(
    "number",
    [
        "GB29NWBK60161331926819",
        "DE89370400440532013000",
        "FR1420041010050500013M02606",
        "NL91ABNA0417164300",
        "NO9386011117947",
        "SA0380000000608010167519",
    ],
)
def test_ibans(number) -> None:
    """The examples of the registry, as machines and as people write them, before other words."""
    spaced = " ".join(number[at : at + 4] for at in range(0, len(number), 4))
    text = f"{number} OR {spaced} AND MORE"
    assert masked(text) == "[BANK_CARD_1] OR [BANK_CARD_1] AND MORE"


def test_every_form_is_planted_and_told() -> None:
    """Each form by itself: in the sum of its kind, one that is not told could be overlooked."""
    maker = Maker(random.Random(5))
    for form in (maker.chinese, maker.chinese_old, maker.hong_kong, maker.taiwan):
        assert _told(form, "id_card") >= 0.95, form
    for form in (maker.social_security, maker.national_insurance):
        assert _told(form, "id_card") >= 0.95, form
    for language in ("zh", "en"):
        assert _told(lambda language=language: maker.passport(language), "id_card") >= 0.95
    assert _told(maker.iban, "bank_card") >= 0.95


def _told(form, kind: str, count: int = 100) -> float:
    made = [form().rpartition("|") for _ in range(count)]
    return sum(masked(a + b, SOUGHT) == f"{a}[{kind.upper()}_1]" for a, _bar, b in made) / count


@given(st.from_regex(r"[A-Z]{1,2}[0-9]{6}", fullmatch=True))
def test_hong_kong_check_digit(start) -> None:
    assert sum(hong_kong_valid(start + last) for last in "0123456789A") == 1


@given(st.from_regex(r"[A-Z][1289][0-9]{7}", fullmatch=True))
def test_taiwan_check_digit(start) -> None:
    assert sum(taiwan_valid(start + last) for last in string.digits) == 1


@given(st.integers(0, 10**18 - 1), st.integers(0, 17), st.integers(1, 9))
def test_a_wrong_digit_makes_no_iban(account, place, more) -> None:
    digits = f"{account:018}"
    check = next(two for two in range(2, 99) if iban_valid(f"DE{two:02}{digits}"))
    wrong = digits[:place] + str((int(digits[place]) + more) % 10) + digits[place + 1 :]
    assert not iban_valid(f"DE{check:02}{wrong}")


@pytest.mark.parametrize(
    "piece", ["A1", "AB12 ", "1", "A1234567", "SSN ", "Passport No. ", "护照号", "GB29 ", "110105-"]
)
def test_rules_stay_linear(piece) -> None:
    """Sixteen times as much of it takes sixteen times as long; what looks to the end of the text
    for each sign takes 256 times. The number at the end has all patterns search the text.
    """
    short, long = (_seconds(piece * count + " 536-90-4399") for count in (500, 8000))
    assert long < 64 * short


def _seconds(text: str) -> float:
    """Time of this thread alone, of the quickest of five."""
    found = []
    for _time in range(5):
        begun = time.thread_time()
        assert "[ID_CARD_1]" in masked(text, ["id_card", "bank_card"])
        found.append(time.thread_time() - begun)
    return min(found)
