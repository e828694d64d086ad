"""Every shape is found by itself, corrected by hand, and handed to the engine with all keys."""

import json
from typing import Any

import pytest
from django.urls import reverse

from common.errors import DomainError
from datasets import services
from datasets.models import Dataset, DatasetVersion
from datasets.services import Wish
from datasets.shapes.detect import guess
from datasets.shapes.mapping import OPENAI_TAGS, SHAREGPT_TAGS
from tests.datasets.conftest import GOOD, upload

pytestmark = pytest.mark.django_db
ASK = {"role": "user", "content": "q"}
SAY = {"role": "assistant", "content": "a"}
SHAPES: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "alpaca": (GOOD[0], {"prompt": "instruction", "query": "input", "response": "output"}),
    "sharegpt": (
        {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]},
        {"messages": "conversations"},
    ),
    "openai": ({"messages": [ASK, SAY]}, {"messages": "messages"}),
    "preference": (
        {"prompt": "q", "chosen": "a", "rejected": "b"},
        {"prompt": "prompt", "chosen": "chosen", "rejected": "rejected"},
    ),
    "kto": (
        {"prompt": "q", "completion": "a", "label": True},
        {"prompt": "prompt", "response": "completion", "kto_tag": "label"},
    ),
    "text": ({"text": "once"}, {"prompt": "text"}),
}
STAGES = {
    "alpaca": ["sft"],
    "sharegpt": ["sft"],
    "openai": ["sft"],
    "preference": ["rm", "dpo"],
    "kto": ["kto"],
    "text": ["pt"],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_from_upload_to_the_engine(shape: str, make, tmp_path) -> None:
    """Found, ready, fit for its stages only, and complete in the engine's list."""
    row, columns = SHAPES[shape]
    dataset = make([row] * 5)
    version = dataset.latest
    assert (version.state, version.shape, version.columns) == ("ready", shape, columns)
    assert version.rows == 5
    fits = [stage for stage, _name, unfit in services.stages_of(version) if not unfit]
    assert fits == STAGES[shape]
    names = services.versions_materialise([version], tmp_path / "job")
    name = names[version.pk]
    entry = json.loads((tmp_path / "job" / "dataset_info.json").read_text())[name]
    assert entry["formatting"] in {"alpaca", "sharegpt"}
    assert entry["ranking"] is (shape == "preference")
    assert len(entry["columns"]) == 13
    assert len(entry["tags"]) == 7
    assert "," not in name and " " not in name
    lines = (tmp_path / "job" / entry["file_name"]).read_text().splitlines()
    assert len(lines) == 5
    assert all(column in json.loads(lines[0]) for column in entry["columns"].values() if column)
    shared = json.loads((version.directory.parents[1] / "dataset_info.json").read_text())
    assert shared[name] | {"file_name": ""} == entry | {"file_name": ""}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_from_csv(shape: str) -> None:
    """Cells hold JSON and truth as text."""
    row, columns = SHAPES[shape]
    cells = {
        key: value if isinstance(value, str) else json.dumps(value) for key, value in row.items()
    }
    found = guess([cells] * 3, from_csv=True)
    assert (found.mapping.shape, found.mapping.columns) == (shape, columns)


def test_role_names_are_found() -> None:
    """Of both families, and others by their usual words."""
    assert guess([SHAPES["openai"][0]]).mapping.tags == OPENAI_TAGS
    assert guess([SHAPES["sharegpt"][0]]).mapping.tags == SHAREGPT_TAGS
    odd = {"dialog": [{"speaker": "customer", "text": "q"}, {"speaker": "bot", "text": "a"}]}
    tags = guess([odd]).mapping.tags
    assert (tags["role_tag"], tags["content_tag"]) == ("speaker", "text")
    assert (tags["user_tag"], tags["assistant_tag"]) == ("customer", "bot")


def test_unknown_columns_wait_for_names(make, people) -> None:
    """Nothing is guessed wildly; naming the columns checks the rows."""
    dataset = make([{"x": "q", "y": "a", "z": "more"}] * 4)
    version = dataset.latest
    assert (version.state, version.rows) == ("mapping", 0)
    assert services.version_unfit(version, stage="sft")
    named = services.version_remap(
        version.pk,
        by=people.member,
        wish=Wish("alpaca", {"prompt": "x", "response": "y", "query": ""}),
    )
    assert named.pk == version.pk
    assert (named.state, named.rows) == ("ready", 4)


def test_a_ready_version_never_changes(make, people) -> None:
    """A correction is a new version of the same file, without a copy of it."""
    dataset = make()
    version = dataset.latest
    before = DatasetVersion.objects.filter(pk=version.pk).values().get()
    other = services.version_remap(
        version.pk,
        by=people.member,
        wish=Wish("alpaca", {"prompt": "output", "response": "instruction"}),
    )
    assert (other.number, other.parent_id, other.state) == (2, version.pk, "ready")
    assert DatasetVersion.objects.filter(pk=version.pk).values().get() == before
    assert other.original.samefile(version.original)
    assert other.train_path.read_text() != version.train_path.read_text()
    assert not version.original.stat().st_mode & 0o222


@pytest.mark.parametrize("part", ["test", ""])
def test_a_version_with_other_columns_says_where_it_comes_from(client, make, people, part) -> None:
    """One of a test part stays an evaluation set."""
    version = make().latest
    DatasetVersion.objects.update(lineage={"part": part} if part else {})
    wish = Wish("alpaca", {"prompt": "output", "response": "instruction"})
    version.refresh_from_db()
    other = services.version_remap(version.pk, by=people.member, wish=wish)
    assert other.lineage == {"kind": "remapped", "source": "data v1", "part": part}
    client.force_login(people.viewer)
    use = client.get(reverse("datasets:version_use", args=[other.dataset_id, other.pk]))
    assert "its columns named anew" in use.content.decode()


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        (Wish("nonsense"), "shape"),
        (Wish("alpaca", {"prompt": "instruction"}), "response"),
        (Wish("alpaca", {"prompt": "instruction", "response": "none"}), "response"),
        (Wish("text", {"prompt": "instruction", "chosen": "output"}), "chosen"),
        (
            Wish("openai", {"messages": "output"}, {"user_tag": "x", "assistant_tag": "x"}),
            "user_tag",
        ),
    ],
)
def test_wrong_names_are_refused(make, people, wish: Wish, field: str) -> None:
    """With the field that is to blame."""
    version = make().latest
    with pytest.raises(DomainError) as refused:
        services.version_remap(version.pk, by=people.member, wish=wish)
    assert refused.value.field == field


def test_named_at_the_upload(make, people) -> None:
    """A caller of the API may say it all at once; what is wrong leaves nothing."""
    rows = [{"x": "q", "y": "a"}] * 3
    dataset = make(rows, wish=Wish("alpaca", {"prompt": "x", "response": "y"}))
    assert dataset.latest.state == "ready"
    with pytest.raises(DomainError):
        make(rows, name="other", wish=Wish("alpaca", {"prompt": "x", "response": "nope"}))
    assert not Dataset.objects.filter(name="other").exists()


def test_findings_name_the_lines_of_the_file(make) -> None:
    """Blank lines and records over several lines: the line of the uploaded file counts."""
    data = b'\n{"instruction": "a", "output": "b"}\n\n{"instruction": "a"}\n'
    found = make(data).latest.report["findings"]
    assert [(one["line"], one["row"], one["code"]) for one in found] == [(4, 1, "missing")]
    table = b'instruction,output\n"a\nb",c\nd\n'
    found = make(table, name="table", filename="t.csv").latest.report["findings"]
    assert [one["line"] for one in found] == [4]


def test_dates_as_answers_stay_texts(make) -> None:
    """The engine would read a column of dates as dates; it is given conversations instead."""
    version = make([{"instruction": f"when {i}", "output": "2020-01-01"} for i in range(60)]).latest
    assert version.report["entry"]["formatting"] == "sharegpt"
    broken = make(
        [{"prompt": "q", "chosen": "2020-01-01", "rejected": "2020-01-02"}] * 60, name="pairs"
    ).latest
    assert (broken.state, broken.report["error"]["code"]) == ("broken", "dates")


def test_the_same_name_for_two_versions_of_two_datasets(make, people, tmp_path) -> None:
    """Names are unique in one job, and survive letters that the engine would split at."""
    first = make(name="数据, 一")
    second = make(name="数据, 二")
    versions = [first.latest, second.latest]
    versions.append(services.version_add(first.pk, by=people.member, upload=upload(GOOD)))
    names = services.versions_materialise(versions, tmp_path)
    assert len(set(names.values())) == 3


@pytest.mark.parametrize("texts", [40, 30])
def test_types_that_change_half_way_are_guessed_by_most_rows(texts: int) -> None:
    """Also where no kind has half of them; of equally many the first counts."""
    answers = ["a"] * texts + [["a"]] * 30 + [{"a": 1}] * 10 + [None] * 60
    rows = [{"instruction": "q", "output": answer} for answer in answers]
    found = guess(rows)
    assert (found.mapping.shape, found.sure) == ("alpaca", True)
    assert found.mapping.columns["response"] == "output"


def test_rows_of_another_type_are_found_by_the_check(make) -> None:
    """With their lines, and the others are used."""
    rows = [{"instruction": "q", "output": "a" if n < 20 else [{"a": n}]} for n in range(40)]
    version = make(rows).latest
    assert (version.state, version.shape, version.rows) == ("ready", "alpaca", 20)
    assert {one["line"] for one in version.report["findings"]} == set(range(21, 41))
