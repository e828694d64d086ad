"""The Chinese of everything the platform says."""

import re
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_file
from babel.messages.pofile import read_po
from django.utils.translation import gettext, ngettext, override

ROOT = Path(__file__).parents[2]
CATALOGUE = ROOT / "locale" / "zh_Hans" / "LC_MESSAGES" / "django.po"
PLACEHOLDERS = re.compile(r"%\(\w+\)[sd]|%%s|(?<!%)%[sd](?!\w)|\{\w+\}|\$\{|<[^>]+>")
# Names, codes and marks that Chinese readers read as they are.
LATIN_ONLY = re.compile(r"^[\W\dA-Za-z_·→{}%()]*$")


@pytest.fixture(scope="module")
def catalogue() -> Catalog:
    with CATALOGUE.open("rb") as file:
        return read_po(file, locale="zh_Hans")


def texts(message: Message) -> tuple[list[str], list[str]]:
    """The English forms and the Chinese ones."""
    ids = [message.id] if isinstance(message.id, str) else list(message.id)
    strings = [message.string] if isinstance(message.string, str) else list(message.string)
    return ids, strings


def messages(catalogue: Catalog) -> list[Message]:
    return [message for message in catalogue if message.id]


def test_everything_is_translated(catalogue):
    found = messages(catalogue)
    assert len(found) > 1000
    assert not [message.id for message in found if not all(texts(message)[1])]
    assert not [message.id for message in found if message.fuzzy]


def test_placeholders_are_the_same(catalogue):
    wrong = []
    for message in messages(catalogue):
        english, chinese = texts(message)
        wanted = sorted(set(PLACEHOLDERS.findall(english[-1])))
        if any(sorted(set(PLACEHOLDERS.findall(text))) != wanted for text in chinese):
            wrong.append(message.id)
    assert not wrong


def test_chinese_uses_chinese_punctuation(catalogue):
    wrong = []
    for message in messages(catalogue):
        for text in texts(message)[1]:
            plain = PLACEHOLDERS.sub("", text)
            if re.search(r"[\u4e00-\u9fff][,;!?]|[\u4e00-\u9fff]\.$|[\u4e00-\u9fff]:$", plain):
                wrong.append(text)
    assert not wrong


def test_nothing_is_left_in_english(catalogue):
    same = [
        message.id
        for message in messages(catalogue)
        for text in texts(message)[1]
        if LATIN_ONLY.match(text) and len(re.findall(r"[A-Za-z]{3,}", text)) > 2
    ]
    # Names of arguments of the API and a pattern for SimPO are all that may stay.
    assert all("top_p" in text for text in same)


def test_every_phrase_of_the_templates_is_in_the_catalogue(catalogue):
    """A cheap look: what they translate stands in the catalogue."""
    known = {text for message in messages(catalogue) for text in texts(message)[0]}
    missing = []
    for path in (ROOT / "templates").rglob("*.html"):
        for quote, text in re.findall(r"{% translate (['\"])(.*?)\1", path.read_text("utf-8")):
            if text.replace("%", "%%") not in known and text not in known:
                missing.append((path.name, quote, text))
    assert not missing


def test_every_phrase_of_the_code_is_in_the_catalogue(catalogue):
    known = {text for message in messages(catalogue) for text in texts(message)[0]}
    keywords = {**DEFAULT_KEYWORDS, "gettext_lazy": None, "gettext_noop": None}
    missing = [
        (path.name, line, text)
        for app in ("accounts", "datasets", "inference", "jobs", "nodes", "platform", "registry")
        for path in (ROOT / app).rglob("*.py")
        for line, found, _comments, _context in extract_from_file("python", path, keywords)
        for text in ([found] if isinstance(found, str) else filter(None, found))
        if text not in known
    ]
    assert not missing


@pytest.mark.parametrize(
    ("english", "chinese"), [("Datasets", "数据集"), ("Training", "训练"), ("checkpoint", "检查点")]
)
def test_the_compiled_catalogue_speaks(english, chinese):
    with override("zh-hans"):
        assert gettext(english) == chinese
        assert ngettext("%(n)s job waiting", "%(n)s jobs waiting", 2) == "%(n)s 个任务等待中"
