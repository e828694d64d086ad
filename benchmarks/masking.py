"""How much of planted personal data is masked, by kind, Chinese and English; and what is masked
besides.

Values are made up by chance, with right checksums where there are some, and put into sentences.
Decoys are sentences that hold nothing personal but look like it: wrong checksums, order numbers,
dates, versions, places without a number, words that begin with a surname. A value counts as hidden
when less than half of it is left; exact when just the value became a placeholder. False ones are
placeholders that stand for no planted value. Names and addresses are drawn from longer lists than
the rules know, with and without words that tell what they are.
"""

import argparse
import os
import random
import string
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "platform")]
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from datasets.recipes.masking import Masker  # noqa: E402
from datasets.recipes.personal import KINDS, id_card_valid, luhn_valid  # noqa: E402

LEAST = 0.95  # recall of the kinds that have a pattern or a checksum
PATTERNED = ("key", "email", "id_card", "bank_card", "phone", "ip")
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


@dataclass
class Line:
    """What was measured of one kind in one language."""

    planted: int = 0
    hidden: int = 0
    exact: int = 0
    missed: list[str] = field(default_factory=list)

    @property
    def recall(self) -> float:
        """The share that is hidden."""
        return self.hidden / max(self.planted, 1)


@dataclass(frozen=True)
class Planted:
    """A value in its sentence."""

    kind: str
    language: str
    before: str
    value: str
    after: str


def makers(drawn: random.Random) -> dict[str, Callable[[str], str]]:
    """A made-up value of each kind for a language."""

    def digits(count: int) -> str:
        return "".join(drawn.choices(string.digits, k=count))

    def letters(count: int) -> str:
        return "".join(drawn.choices(string.ascii_letters + string.digits, k=count))

    def bank(_language: str) -> str:
        start = drawn.choice(("62", "4", "51", "37"))
        start += digits({"62": 15, "4": 14, "51": 13, "37": 12}[start])
        number = next(f"{start}{last}" for last in range(10) if luhn_valid(f"{start}{last}"))
        cut = drawn.choice(("", " ", "-"))
        return cut.join(number[at : at + 4] for at in range(0, len(number), 4))

    def identity(_language: str) -> str:
        start = f"{drawn.choice((110105, 310115, 440305, 330106))}{drawn.randrange(1950, 2012)}"
        start += f"{drawn.randrange(1, 13):02}{drawn.randrange(1, 29):02}{digits(3)}"
        return next(start + last for last in "0123456789X" if id_card_valid(start + last))

    def phone(language: str) -> str:
        if language == "zh":
            number = f"1{drawn.choice('3456789')}{digits(9)}"
            spaced = f"{number[:3]} {number[3:7]} {number[7:]}"
            return drawn.choice((number, "+86 " + number, spaced, f"0755-2{digits(7)}"))
        area, office = drawn.choice((212, 415, 312)), f"{drawn.randrange(2, 10)}{digits(2)}"
        office = office if office[1:] != "11" else "234"
        return drawn.choice(("({}) {}-{}", "{}-{}-{}", "+1 {} {} {}")).format(
            area, office, digits(4)
        )

    def key(_language: str) -> str:
        return drawn.choice(
            (
                "sk-" + letters(40),
                "AKIA" + letters(16).upper(),
                "ghp_" + letters(36),
                "hf_" + letters(34),
                "LTAI" + letters(20),
            )
        )

    def name(language: str) -> str:
        if language == "zh":
            given = "".join(drawn.sample(GIVEN, drawn.choice((1, 2, 2))))
            return drawn.choice(SURNAMES) + given
        return f"{drawn.choice(FIRST)} {drawn.choice(LAST)}"

    def address(language: str) -> str:
        if language == "zh":
            flat = drawn.choice(("", f"{drawn.randrange(1, 30)}号楼{drawn.randrange(100, 2000)}室"))
            return (
                drawn.choice(CITIES) + drawn.choice(ROADS) + f"{drawn.randrange(1, 999)}号" + flat
            )
        flat = drawn.choice(("", f", Apt {drawn.randrange(1, 99)}"))
        street = drawn.choice(STREETS)
        return f"{drawn.randrange(1, 9999)} {street}{flat}{drawn.choice(TOWNS)}"

    return {
        "key": key,
        "email": lambda _language: (
            f"{letters(6)}.{letters(4)}@{letters(5)}.{drawn.choice(('com', 'cn', 'org', 'com.cn'))}"
        ),
        "id_card": identity,
        "bank_card": bank,
        "phone": phone,
        "ip": lambda _language: drawn.choice(
            (
                f"203.0.{drawn.randrange(256)}.{drawn.randrange(1, 256)}",
                f"2001:db8::{drawn.randrange(1, 65535):x}",
            )
        ),
        "name": name,
        "address": address,
    }


def planted(count: int, seed: int) -> Iterator[Planted]:
    """So many values of each kind in each language; names also without a word that names them."""
    drawn = random.Random(seed)
    frames = {"zh": CHINESE, "en": ENGLISH}
    for kind, make in makers(drawn).items():
        for language, usual in frames.items():
            sets = {language: usual}
            if kind == "name":
                named, bare = (NAMED_CN, BARE_CN) if language == "zh" else (NAMED_EN, BARE_EN)
                sets = {language: named, f"{language}, no context": bare}
            for words, sentences in sets.items():
                for _ in range(count):
                    before, after = drawn.choice(sentences).split("{}")
                    yield Planted(kind, words, before, make(language), after)


def measure(count: int, seed: int) -> tuple[dict[tuple[str, str], Line], Counter[str], list[str]]:
    """What was hidden by kind and language, false ones by kind, and examples of these."""
    lines: dict[tuple[str, str], Line] = {}
    false: Counter[str] = Counter()
    examples: list[str] = []

    def count_false(masker: Masker, text: str, out: str, kind: str = "") -> None:
        for found, times in masker.found.items():
            wrong = times - (found == kind)
            if wrong > 0:
                false[found] += wrong
                examples.append(f"{found}: {text} -> {out}")

    for one in planted(count, seed):
        text = one.before + one.value + one.after
        masker = Masker(list(KINDS), {"q": text})
        out = masker.masked(text)
        line = lines.setdefault((one.kind, one.language), Line())
        line.planted += 1
        line.exact += out == f"{one.before}[{one.kind.upper()}_1]{one.after}"
        left = SequenceMatcher(None, one.value, out, autojunk=False).find_longest_match().size
        if left < max(len(one.value) / 2, 1.5):
            line.hidden += 1
        else:
            line.missed.append(text)
        count_false(masker, text, out, one.kind)
    for text in DECOYS:
        masker = Masker(list(KINDS), {"q": text})
        count_false(masker, text, masker.masked(text))
    return lines, false, examples


def main() -> None:
    """Prints the table."""
    from running import verdict  # beside this file; tests import it from elsewhere

    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--count", type=int, default=500, help="values by kind and language")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--examples", type=int, default=0, help="missed and false ones shown")
    given = options.parse_args()
    began = time.monotonic()
    lines, false, examples = measure(given.count, given.seed)
    seconds = time.monotonic() - began
    print(f"{'kind':<11}{'language':<17}{'planted':>8}{'recall':>8}{'exact':>8}{'false':>7}")
    for (kind, language), line in lines.items():
        wrong = false[kind] if language == "zh" else ""
        exact = line.exact / line.planted
        print(
            f"{kind:<11}{language:<17}{line.planted:>8}{line.recall:>8.3f}{exact:>8.3f}{wrong:>7}"
        )
    total = sum(line.planted for line in lines.values()) + len(DECOYS)
    print(f"{total} texts ({len(DECOYS)} of them decoys) in {seconds:.1f} s; false: both languages")
    for line in lines.values():
        for text in line.missed[: given.examples]:
            print("missed:", text)
    for text in examples[: given.examples * 5]:
        print("false:", text)
    worst = min(line.recall for (kind, _language), line in lines.items() if kind in PATTERNED)
    goal = f"at least {LEAST} for {', '.join(PATTERNED)}"
    verdict("recall of the worst kind", worst, "", goal=goal, met=worst >= LEAST)


if __name__ == "__main__":
    main()
