"""Lengths by the tokenizer that a reader chooses: who may, what comes out, counted once."""

import json
import shutil
from pathlib import Path

import orjson
import pytest
from django.urls import reverse
from rest_framework.test import APIClient
from tokenizers import Tokenizer, models, pre_tokenizers

from accounts.models import Project
from datasets import services
from datasets.models import Dataset, DatasetVersion, TokenCount
from datasets.shapes.families import FAMILIES, FILE_MAX, is_known, template_named
from registry.models import Model, ModelVersion
from tests.datasets.test_tokens import tokenizer_dir

__all__ = ["tokenizer_dir"]
pytestmark = pytest.mark.django_db
ROWS = [{"instruction": "word " * n, "output": "a"} for n in range(1, 101)]


@pytest.fixture
def by_words(home) -> Path:
    """One token a word: fewer than letters."""
    folder = home / "models" / "words"
    folder.mkdir()
    words = Tokenizer(models.WordLevel({"?": 0, "word": 1}, unk_token="?"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.save(str(folder / "tokenizer.json"))
    return folder


def published(name: str, path: str, project: Project | None = None, **more) -> ModelVersion:
    model = Model.objects.create(name=name, project=project, is_enabled=more.pop("enabled", True))
    fields = {"kind": "base" if project is None else "full", "source": "local", **more}
    return ModelVersion.objects.create(model=model, path=path, template="chatml", **fields)


@pytest.fixture
def version(make, people, home, tokenizer_dir) -> DatasetVersion:
    """Counted at the check by letters, of a demo model that is in the registry, too."""
    shutil.copytree(tokenizer_dir, home / "models" / "demo")
    published("demo", "models/demo")
    found = make(ROWS).latest
    assert services.version_statistics(found.pk)
    found.refresh_from_db()
    return found


def page_of(version: DatasetVersion) -> str:
    return reverse("datasets:version_statistics", args=[version.dataset_id, version.pk])


def api_of(version: DatasetVersion) -> str:
    return f"/api/v1/datasets/{version.dataset_id}/versions/{version.pk}/"


def test_another_tokenizer_gives_other_numbers(version, by_words, client, people) -> None:
    words = published("words", "models/words")
    client.force_login(people.viewer)
    url = page_of(version)
    letters = client.get(url, {"cutoff": 100}).context["length"]
    assert letters["chosen"] is None
    assert letters["offered"]["chosen_id"] == str(ModelVersion.objects.get(model__name="demo").pk)
    address = {"tokenizer": str(words.pk), "cutoff": 100}
    waiting = client.get(url, address).content.decode()
    assert "Counting with the tokenizer of words" in waiting
    assert f"?tokenizer={words.pk}&amp;cutoff=100" in waiting
    part = client.get(url, address, headers={"HX-Request": "true"})
    assert "HX-Refresh" not in part
    assert 'id="tokens-state"' in part.content.decode()
    count = TokenCount.objects.get()
    assert services.tokens_count(count.pk)
    assert not services.tokens_count(count.pk)
    assert not count.directory.exists()
    assert client.get(url, address, headers={"HX-Request": "true"})["HX-Refresh"] == "true"
    answer = client.get(url, address)
    found, page = answer.context["length"], answer.content.decode()
    assert f'value="{words.pk}" selected' in page
    assert found["found"]["max"] < letters["found"]["max"] / 3
    assert found["found"]["count"] == version.rows == 100
    longest = found["found"]["max"]
    assert 0 < found["cut"] < letters["cut"]
    assert found["cut"] == longest - 100  # each row has a word more than the one before
    assert f"<b>{found['cut']} rows ({found['cut']}.0 %)</b>" in page
    assert any(bar["over"] for bar in found["picture"]["bars"])
    assert TokenCount.objects.count() == 1


def rows_of(version: DatasetVersion) -> str:
    return reverse("datasets:version_rows", args=[version.dataset_id, version.pk])


def test_rows_as_tokens_of_a_chosen_model(version, by_words, client, people) -> None:
    """The page and the API part rows by it; a check's own tokenizer is the first choice."""
    words = published("words", "models/words")
    client.force_login(people.viewer)
    demo = client.get(rows_of(version), {"view": "tokens"})
    assert "tokens of the demo model" in demo.content.decode()
    chosen = {"view": "tokens", "tokenizer": str(words.pk), "from": "3"}
    answer = client.get(rows_of(version), chosen)
    page, row = answer.content.decode(), answer.context["rows"].rows[0]
    assert "tokens of words" in page and f'value="{words.pk}" selected' in page
    assert f"view=tokens&amp;tokenizer={words.pk}&amp;from=13" in page  # stays on the next page
    assert sum("word" in piece.text for piece in row.seen.pieces) == row.number == 3
    assert row.seen.tokens < demo.context["rows"].rows[2].seen.tokens
    api = APIClient()
    api.force_authenticate(people.viewer)
    listed = api.get(f"{api_of(version)}rows/", {"tokenizer": str(words.pk)}).json()["results"]
    assert [one["text"] for one in listed[2]["tokens"]] == [one.text for one in row.seen.pieces]
    assert api.get(f"{api_of(version)}rows/").json()["results"][2]["tokens"] is None
    theirs = published("theirs", "models/words", project=people.stranger.personal_project)
    for path in (rows_of(version), f"{api_of(version)}rows/"):
        answer = api.get(path, {"view": "tokens", "tokenizer": str(theirs.pk)})
        answer = answer if "api" in path else client.get(path, chosen | {"tokenizer": theirs.pk})
        assert answer.status_code == 404


CHATML = json.loads(orjson.dumps(FAMILIES["chatml"]))


@pytest.fixture
def described(settings) -> Path:
    """Where an engine says what its templates are."""
    settings.ENGINES_DIR = settings.TRAINER_HOME / "engines"
    folder = settings.ENGINES_DIR / "llamafactory"
    folder.mkdir(parents=True)
    return folder / "templates.json"


def test_templates_whose_words_are_not_known(version, by_words, client, people, described) -> None:
    """Rows are shown with the words of ChatML then, and the page and the API say so."""
    words = published("words", "models/words")
    client.force_login(people.viewer)
    api = APIClient()
    api.force_authenticate(people.viewer)

    def says(template: str, *, known: bool, first: str) -> None:
        ModelVersion.objects.filter(pk=words.pk).update(template=template)
        address = {"view": "tokens", "tokenizer": str(words.pk)}
        page = client.get(rows_of(version), address)
        assert page.context["rows"].rows[0].seen.pieces[0].text.startswith(first), template
        text = page.content.decode()
        assert "tokens of words" in text
        assert ("ChatML's are shown instead" in text) is not known
        offered = {one["id"]: one for one in api.get(f"{api_of(version)}tokenizers/").json()}
        assert offered[str(words.pk)]["words_known"] is known

    says("chatml", known=True, first="<|im_start|>")
    says("vicuna", known=False, first="<|im_start|>")
    described.write_text(json.dumps({"vicuna": CHATML | {"user": ["Q: {{content}}\nA:"]}}))
    says("vicuna", known=True, first="Q")
    assert "ChatML's are shown instead" not in client.get(rows_of(version)).content.decode()


@pytest.mark.parametrize("told", [b"{", b'["chatml", "vicuna"]', b" " * (FILE_MAX + 1)])
def test_an_engine_that_names_its_templates_only(described, told: bytes) -> None:
    """The most common ones are known then."""
    described.write_bytes(told)
    assert is_known("chatml") and is_known("llama3") and not is_known("vicuna")


@pytest.mark.parametrize(
    "told",
    [
        7,
        {"user": ["Q"]},
        CHATML | {"user": "Q"},
        CHATML | {"more": ""},
        CHATML | {"system": [{"no": "token"}]},
        CHATML | {"system": []},
        CHATML | {"stop_words": []},
        CHATML | {"stop_words": [{"part": "eos"}]},
        CHATML | {"thought_words": ["<think>"]},
        CHATML | {"efficient_eos": 1},
        CHATML | {"tool_words": 7},
        CHATML | {"tool_words": {"tool": "odd", "tools": ["a", "b", "c"]}},
        CHATML | {"tool_words": {"tools": ["a", "b", "c"]}},
        CHATML | {"tool_words": {"call": ["no end"]}},
        CHATML | {"tool_words": {"marks": ["<a>", 1]}},
        CHATML | {"tool_words": {"more": ""}},
    ],
)
def test_a_description_that_makes_no_sense(described, told: object) -> None:
    """It is none, and the others count."""
    described.write_text(json.dumps({"odd": told, "vicuna": CHATML}))
    assert is_known("vicuna") and not is_known("odd")
    assert template_named("odd") == FAMILIES["chatml"]


def test_visitors_start_no_process(version, client, people) -> None:
    """Public rows are read by anybody; tokenizing them takes an account."""
    Dataset.objects.update(is_public=True)
    page = client.get(rows_of(version), {"view": "tokens"})
    assert "Log in to see rows as tokens." in page.content.decode()
    assert page.context["rows"].rows[0].seen is None
    answer = APIClient().get(f"{api_of(version)}rows/", {"tokens": "true"})
    assert answer.json()["results"][0]["tokens"] is None


def test_nothing_counted_at_the_check_is_said(make, people) -> None:
    version = make(ROWS).latest
    api = APIClient()
    api.force_authenticate(people.viewer)
    answer = api.get(f"{api_of(version)}cuts/").json()
    assert (answer["state"], answer["cut"]) == ("failed", None)
    assert "Choose a tokenizer" in answer["problem"]


def test_the_api_counts_once(version, by_words, people) -> None:
    words = published("words", "models/words")
    api = APIClient()
    api.force_authenticate(people.viewer)
    url = api_of(version)
    names = [(one["name"], one["problem"]) for one in api.get(f"{url}tokenizers/").json()]
    assert names == [("demo", ""), ("words", "")]
    asked = {"tokenizer": str(words.pk), "cutoff_len": 50}
    first = api.get(f"{url}cuts/", asked).json()
    assert (first["state"], first["cut"], first["cut_percent"]) == ("waiting", None, None)
    assert services.tokens_count(TokenCount.objects.get().pk)
    done = api.get(f"{url}cuts/", asked).json()
    unknown = api.get(f"{url}cuts/", {"tokenizer": "00000000-0000-4000-8000-000000000000"})
    assert unknown.status_code == 404
    assert (done["state"], done["cut"]) == ("done", done["tokens"]["max"] - 50)
    assert done["cut_percent"] == done["cut"]
    assert sum(rows for _length, rows in done["tokens"]["buckets"]) == 100
    demo = api.get(f"{url}cuts/", {"cutoff_len": 50}).json()
    same = ModelVersion.objects.get(model__name="demo")
    again = api.get(f"{url}cuts/", {"cutoff_len": 50, "tokenizer": str(same.pk)}).json()
    assert demo["cut"] == again["cut"] > done["cut"]  # the check's count serves both
    assert TokenCount.objects.count() == 1


def test_only_models_that_one_sees(version, by_words, client, people) -> None:
    theirs = published("theirs", "models/words", project=people.stranger.personal_project)
    own = published("own", "models/words", project=people.team)
    off = published("off", "models/words", enabled=False)
    client.force_login(people.viewer)
    api = APIClient()
    api.force_authenticate(people.viewer)
    names = {one["name"] for one in api.get(f"{api_of(version)}tokenizers/").json()}
    assert names == {"demo", "own v1"}
    for hidden in (theirs.pk, off.pk, "²"):
        assert client.get(page_of(version), {"tokenizer": hidden}).status_code == 404
        answer = api.get(f"{api_of(version)}cuts/", {"tokenizer": str(hidden)})
        assert answer.status_code == 404
    assert client.get(page_of(version), {"tokenizer": own.pk}).status_code == 200
    client.force_login(people.stranger)
    assert client.get(page_of(version), {"tokenizer": theirs.pk}).status_code == 404


def test_an_adapter_counts_as_its_base(version, by_words, people) -> None:
    base = published("words", "models/words")
    published("tuned", "output/none", project=people.team, kind="adapter", base=base)
    found = {one.name: one for one in services.tokenizers_of(people.viewer)}
    assert found["tuned v1"].key == found["words"].key


def test_models_without_a_tokenizer_are_named(version, client, people, home) -> None:
    (home / "models" / "bare").mkdir()
    for name, path, words in (
        ("far", "", "only on a hub"),
        ("bare", "models/bare", "has no tokenizer.json"),
    ):
        model = published(name, path)
        client.force_login(people.viewer)
        page = client.get(page_of(version), {"tokenizer": model.pk}).content.decode()
        assert f"{name}: no tokenizer here" in page
        assert words in page
    assert not TokenCount.objects.exists()


def test_a_damaged_tokenizer_is_said(version, client, people, home) -> None:
    folder = home / "models" / "bad"
    folder.mkdir()
    (folder / "tokenizer.json").write_text(json.dumps({"model": 5}))
    model = published("bad", "models/bad")
    client.force_login(people.viewer)
    client.get(page_of(version), {"tokenizer": model.pk})
    assert services.tokens_count(TokenCount.objects.get().pk)
    page = client.get(page_of(version), {"tokenizer": model.pk}).content.decode()
    assert "missing, damaged or too big" in page
    asked = {"view": "tokens", "tokenizer": str(model.pk)}
    page = client.get(rows_of(version), asked).content.decode()
    assert "damaged, or too big to part rows with" in page and "word word" in page
    api = APIClient()
    api.force_authenticate(people.viewer)
    assert api.get(f"{api_of(version)}rows/", asked).json()["code"] == "no_tokenizer"
