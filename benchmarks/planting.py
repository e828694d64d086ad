"""Made-up personal data in sentences, Chinese and English, and sentences that only look like it.

Values are made up by chance, with right checksums where there are some. Decoys hold nothing
personal: wrong checksums, order numbers, dates, versions, places without a number, words that begin
with a surname. Names and addresses are drawn from longer lists than the rules know, with and
without words that tell what they are.
"""

import random
import string
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from datasets.recipes.identifiers import (
    hong_kong_valid,
    iban_valid,
    id_card_valid,
    luhn_valid,
    taiwan_valid,
)
from datasets.recipes.personal import KINDS

CHINESE = (
    "我的是{}，请记下。",
    "请核对{}后再回复",
    "资料：{}（仅供内部使用）",
    "{}",
    "他说{}已经登记过了。",
    "系统里填的是 {} ，请更新。",
)
ENGLISH = (
    "Mine is {}, please note it.",
    "Please check {} before you answer",
    "On file: {} (internal)",
    "{}",
    "She said that {} is registered.",
    'It reads "{}" in the form.',
)
NAMED_CN = (
    "我叫{}，今年三十岁。",
    "姓名：{}，性别女",
    "联系人：{} 电话见下",
    "请转告{}先生。",
    "昨天{}老师来过",
    "我的名字是{}。",
    "收件人：{}；地址见下。",
)
BARE_CN = ("昨天{}给我打了电话。", "会议由{}主持，大家都到了。")
NAMED_EN = (
    "My name is {}.",
    "Please ask Mr. {} about it.",
    "Name: {}, female",
    "Dear {},\nthank you.",
    "It was Dr {} who called.",
    "Contact: {}",
    "Kind regards,\n{}",
)
BARE_EN = ("Yesterday {} called me.", "The meeting was led by {} again.")
SURNAMES = [
    *"王李张刘陈杨黄赵周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕",
    *"操仝钮佟",
    "欧阳",
    "呼延",
]
GIVEN = [
    *"伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华文玉建国志海燕红梅雪晨宇轩子涵梓浩然欣怡嘉琪"
]
FIRST = (
    "James",
    "Mary",
    "Priya",
    "Oluwaseun",
    "John",
    "Linda",
    "Ingrid",
    "Emily",
    "David",
    "Fatima",
    "Peter",
    "Susan",
    "Dmitri",
    "Laura",
    "Kevin",
)
LAST = (
    "Smith",
    "Johnson",
    "O'Brien",
    "Garcia",
    "Miller",
    "Okafor",
    "Nguyen",
    "Schmidt",
    "Taylor",
    "McDonald",
    "Lee",
    "Rossi",
    "Novak",
)
CITIES = (
    "北京市朝阳区",
    "上海市浦东新区",
    "广东省深圳市南山区",
    "杭州市西湖区",
    "四川省成都市武侯区",
    "江苏省昆山市",
    "乌鲁木齐市天山区",
    "",
)
ROADS = ("建国路", "世纪大道", "科技园南路", "文三路", "人民南路", "中山东街", "幸福里", "柳巷")
STREETS = (
    "Baker Street",
    "Elm Avenue",
    "Old Mill Road",
    "W 42nd Street",
    "Sunset Blvd",
    "Park Lane",
    "Kings Ct",
)
TOWNS = ("", ", London", ", Springfield, IL 62704", ", Austin, TX 78701", ", New York, NY")
DECOYS = (
    "订单20240131123456已发货。",
    "2024年1月31日12:30开会，共1500人参加。",
    "版本3.11.2修复了127.0.0.1的问题。",
    "高中生和大学生都可以报名。",
    "他是一位老师，也是工程师。",
    "王国维的人间词话值得一读。",
    "这条路上有三号线地铁站。",
    "北京市朝阳区的人口超过三百万。",
    "第3章第2节讲了图论。",
    "号码110105194912310021不是有效证件。",
    "卡号4111111111111112校验错误。",
    "订单A123456780待发货。",
    "证件A123456(4)与系统不符。",
    "批次110105490230002已入库。",
    "流水号202401311234568已记录。",
    "旅行护照20240131起可网上办理。",
    "账号DE88370400440532013000不存在。",
    "圆周率是3.14159265358979。",
    "请把文件发给老师和同学们。",
    "马上就要下雨了，先生请进。",
    "我叫了一辆车，十分钟后到。",
    "安全第一，预防为主，路边停车一小时五元。",
    "于是大家都笑了。",
    "方法：先加水，再加盐。",
    "Order 20240131123456 was sent on 2024-01-31.",
    "Version 3.11.2 runs on 127.0.0.1 and port 8080.",
    "The card 4111 1111 1111 1112 was refused.",
    "The account GB28 NWBK 6016 1331 9268 19 was refused.",
    "Parts 000-12-3456, 666-12-3456 and 912-34-5678 are sold out.",
    "Parcel 536904399 left the depot, parcel 536 90 4399 did not.",
    "QQ123456C is a specimen, GB123456A is never given out.",
    "Flight AB123456E, lot A123456788 and box E364912(4) are late.",
    "Passport control closes at 2200; form 12345678 is at the desk.",
    "Commit 3f2a9c81d4e5b6078192a3b4c5d6e7f801234567 mends it.",
    "The SSN has nine digits, as 123456789 has.",
    "Chapter 12 covers the main road to success.",
    "Dear Sir or Madam, thank you for your letter.",
    "My name is not important here.",
    "The 3 Great Lakes lie in the north.",
    "Mr. President, the floor is yours.",
    "Call a function f(x) = x @ y.",
    "It took 15 years and 1,250,000 dollars.",
    "Read RFC 2616 and ISO 8601 first.",
    "The name is given in line 12.",
    "Paris, Texas and Jordan River are places.",
    "He scored 98.6.1.2.3 by mistake.",
    "I am American and so is Ford.",
    "Use sk-learn and hf_hub for that.",
    "Wall Street fell by 500 points.",
    "Next Monday at 10 Main events begin.",
)


@dataclass(frozen=True)
class Planted:
    """A value in its sentence."""

    kind: str
    language: str
    before: str
    value: str
    after: str


class Maker:
    """Makes values up for a language; what stands before a bar is a value's label."""

    def __init__(self, drawn: random.Random) -> None:
        self.drawn = drawn

    def _digits(self, count: int) -> str:
        return "".join(self.drawn.choices(string.digits, k=count))

    def _letters(self, count: int) -> str:
        return "".join(self.drawn.choices(string.ascii_letters + string.digits, k=count))

    def card(self) -> str:
        start = self.drawn.choice(("62", "4", "51", "37"))
        start += self._digits({"62": 15, "4": 14, "51": 13, "37": 12}[start])
        return next(f"{start}{last}" for last in range(10) if luhn_valid(f"{start}{last}"))

    def iban(self) -> str:
        country, bank, count = self.drawn.choice(
            (("DE", "", 18), ("GB", "NWBK", 14), ("FR", "", 23), ("NL", "ABNA", 10), ("ES", "", 20))
        )
        rest = bank + self._digits(count)
        return next(
            made for check in range(2, 99) if iban_valid(made := f"{country}{check:02}{rest}")
        )

    def bank_card(self, language: str) -> str:
        if language == "en" and self.drawn.random() < 0.5:
            number, cut = self.iban(), self.drawn.choice(("", " "))
        else:
            number, cut = self.card(), self.drawn.choice(("", " ", "-"))
        return cut.join(number[at : at + 4] for at in range(0, len(number), 4))

    def chinese(self) -> str:
        region = self.drawn.choice((110105, 310115, 440305, 330106, 810000, 820000, 830000))
        start = f"{region}{self.drawn.randrange(1950, 2012)}{self._day()}{self._digits(3)}"
        return next(start + last for last in "0123456789X" if id_card_valid(start + last))

    def chinese_old(self) -> str:
        region = self.drawn.choice((110105, 310115, 440305, 330106))
        return f"{region}{self.drawn.randrange(30, 99)}{self._day()}{self._digits(3)}"

    def hong_kong(self) -> str:
        start = self.drawn.choice(("A", "G", "K", "R", "Z", "WX", "XA")) + self._digits(6)
        check = next(last for last in "0123456789A" if hong_kong_valid(start + last))
        return self.drawn.choice((f"{start}({check})", f"HKID: |{start}{check}"))

    def taiwan(self) -> str:
        letter = self.drawn.choice(string.ascii_uppercase)
        start = letter + self.drawn.choice("1289") + self._digits(7)
        return next(start + last for last in "0123456789" if taiwan_valid(start + last))

    def social_security(self) -> str:
        area = self.drawn.choice((1, 212, 536, 665, 667, 899))
        group, serial = self.drawn.randrange(1, 100), self.drawn.randrange(1, 10000)
        forms = ("{:03}-{:02}-{:04}", "SSN |{:03}{:02}{:04}", "SSN: |{:03} {:02} {:04}")
        return self.drawn.choice(forms).format(area, group, serial)

    def national_insurance(self) -> str:
        start = self.drawn.choice(("AB", "CE", "JY", "MN", "SH", "TW", "YZ"))
        pairs = [self._digits(2) for _ in range(3)]
        return self.drawn.choice(("", " ")).join((start, *pairs, self.drawn.choice("ABCD")))

    def passport(self, language: str) -> str:
        label = {"zh": ("护照号", "护照号码："), "en": ("Passport No. ", "passport number: ")}
        start, count = self.drawn.choice((("E", 8), ("EA", 7), ("", 9), ("C01X", 5)))
        return f"{self.drawn.choice(label[language])}|{start}{self._digits(count)}"

    def _day(self) -> str:
        return f"{self.drawn.randrange(1, 13):02}{self.drawn.randrange(1, 29):02}"

    def id_card(self, language: str) -> str:
        passport = partial(self.passport, language)
        if language == "zh":
            forms = (self.chinese, self.chinese_old, self.hong_kong, self.taiwan, passport)
        else:
            forms = (self.social_security, self.national_insurance, self.hong_kong, passport)
        return self.drawn.choice(forms)()

    def phone(self, language: str) -> str:
        if language == "zh":
            number = f"1{self.drawn.choice('3456789')}{self._digits(9)}"
            spaced = f"{number[:3]} {number[3:7]} {number[7:]}"
            return self.drawn.choice((number, "+86 " + number, spaced, f"0755-2{self._digits(7)}"))
        area = self.drawn.choice((212, 415, 312))
        office = f"{self.drawn.randrange(2, 10)}{self._digits(2)}"
        office = office if office[1:] != "11" else "234"
        return self.drawn.choice(("({}) {}-{}", "{}-{}-{}", "+1 {} {} {}")).format(
            area, office, self._digits(4)
        )

    def key(self, _language: str) -> str:
        return self.drawn.choice(
            (
                "sk-" + self._letters(40),
                "AKIA" + self._letters(16).upper(),
                "ghp_" + self._letters(36),
                "hf_" + self._letters(34),
                "LTAI" + self._letters(20),
            )
        )

    def name(self, language: str) -> str:
        if language == "zh":
            given = "".join(self.drawn.sample(GIVEN, self.drawn.choice((1, 2, 2))))
            return self.drawn.choice(SURNAMES) + given
        return f"{self.drawn.choice(FIRST)} {self.drawn.choice(LAST)}"

    def address(self, language: str) -> str:
        if language == "zh":
            house, room = self.drawn.randrange(1, 30), self.drawn.randrange(100, 2000)
            flat = self.drawn.choice(("", f"{house}号楼{room}室"))
            road = self.drawn.choice(CITIES) + self.drawn.choice(ROADS)
            return f"{road}{self.drawn.randrange(1, 999)}号{flat}"
        flat = self.drawn.choice(("", f", Apt {self.drawn.randrange(1, 99)}"))
        street = self.drawn.choice(STREETS)
        return f"{self.drawn.randrange(1, 9999)} {street}{flat}{self.drawn.choice(TOWNS)}"

    def email(self, _language: str) -> str:
        domain = self.drawn.choice(("com", "cn", "org", "com.cn"))
        return f"{self._letters(6)}.{self._letters(4)}@{self._letters(5)}.{domain}"

    def ip(self, _language: str) -> str:
        last = self.drawn.randrange(1, 65535)
        fourth = f"203.0.{self.drawn.randrange(256)}.{self.drawn.randrange(1, 256)}"
        return self.drawn.choice((fourth, f"2001:db8::{last:x}"))


def planted(count: int, seed: int) -> Iterator[Planted]:
    """So many values of each kind in each language; names also without a word that names them."""
    drawn = random.Random(seed)
    frames = {"zh": CHINESE, "en": ENGLISH}
    maker = Maker(drawn)
    for kind in KINDS:
        make = getattr(maker, kind)
        for language, usual in frames.items():
            sets = {language: usual}
            if kind == "name":
                named, bare = (NAMED_CN, BARE_CN) if language == "zh" else (NAMED_EN, BARE_EN)
                sets = {language: named, f"{language}, no context": bare}
            for words, sentences in sets.items():
                for _ in range(count):
                    before, after = drawn.choice(sentences).split("{}")
                    label, _bar, value = make(language).rpartition("|")
                    yield Planted(kind, words, before + label, value, after)
