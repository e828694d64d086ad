"""Uploads: refused ones leave nothing, killed ones are swept, stored ones are never lost."""

import json
from pathlib import Path

import pytest
from django.core.files.uploadedfile import TemporaryUploadedFile

from common.errors import Conflict, DomainError, QuotaExceeded
from datasets import services, tasks
from datasets.models import Dataset, DatasetVersion
from datasets.reading.locks import locked
from tests.datasets import children, samples
from tests.datasets.conftest import GOOD, jsonl, upload

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).resolve().parents[2]


def _files(home: Path) -> list[str]:
    """All files below data, without locks and the shared list."""
    return sorted(
        str(path.relative_to(home / "data"))
        for path in (home / "data").rglob("*")
        if path.is_file() and path.name not in {".lock", "dataset_info.json", ".dataset_info.json"}
    )


@pytest.mark.parametrize(
    ("filename", "data", "code"),
    [
        ("a.json", b"", "empty"),
        ("a.json", b" \n\t ", "empty"),
        ("a.json", b"[]", "empty"),
        ("a.jsonl", b"\n\n", "empty"),
        ("a.csv", b"a,b\n", "empty"),
        ("a.json", b'[{"a": 1},]', "broken_json"),
        ("a.jsonl", b'{"a": 1}\n{"a"}\n', "broken_json"),
        ("a.csv", b"a,b\n1,2,3\n", "broken_csv"),
        ("a.json", b"PK\x03\x04" + b"0" * 50, "damaged"),
        ("a.zip", b"PK\x03\x04", "damaged"),
        ("a.jsonl.gz", b"\x1f\x8b", "damaged"),
        ("a.parquet", b"PAR1", "damaged"),
        ("a.json", b"PAR1", "damaged"),
        ("a.parquet", b"words", "damaged"),
        ("a.7z", b"7z\xbc\xaf\x27\x1c", "binary"),
        ("a.exe", b"words", "format"),
        ("a.json", b'{"a": "\xff\xfe\xfd"}', "encoding"),
        ("a.json", b'{"a": 1}\0\0\0', "binary"),
        ("a.json", b"[1, 2, 3]", "no_columns"),
        ("a.json", b"[" * 200 + b"]" * 200, "nesting"),
    ],
)
def test_bad_files_leave_nothing(make, home, filename: str, data: bytes, code: str) -> None:
    """The refusal has a code and blames the file."""
    with pytest.raises(DomainError) as refused:
        make(data, filename=filename)
    assert (refused.value.code, refused.value.field) == (code, "file")
    assert _files(home) == []
    assert not Dataset.objects.exists()


@pytest.mark.parametrize(
    "name", ["", "  ", "../up", "a/b", "a\\b", "a\x00b", "a\nb", ".hidden", "x" * 81]
)
def test_bad_names_leave_nothing(make, home, name: str) -> None:
    """Parts of a path, control characters, nothing at all, too much."""
    with pytest.raises(DomainError) as refused:
        make(name=name)
    assert refused.value.field == "name"
    assert _files(home) == []


def test_a_name_is_given_once(make) -> None:
    """Within a project."""
    make()
    with pytest.raises(Conflict):
        make()


def test_limits(make, people, settings, home) -> None:
    """The size of a file, of a row, and the project's storage."""
    settings.UPLOAD_MAX_BYTES = 1000
    with pytest.raises(DomainError) as refused:
        make()
    assert refused.value.code == "too_large"
    settings.UPLOAD_MAX_BYTES = 10**6
    settings.UPLOAD_LINE_MAX_BYTES = 50
    with pytest.raises(DomainError) as refused:
        make([{"instruction": "x" * 100, "output": "y"}])
    assert refused.value.code == "line_too_long"
    settings.UPLOAD_LINE_MAX_BYTES = 10**6
    people.team.max_storage_bytes = 1000
    people.team.save()
    with pytest.raises(QuotaExceeded):
        make()
    assert _files(home) == []


def test_storage_counts_all_files(make, people) -> None:
    """The upload, its rows and what the engine reads; deleting gives it back."""
    dataset = make()
    version = dataset.latest
    assert version.stored_bytes > 2 * version.bytes
    assert services.storage_used(people.team) == version.stored_bytes
    services.dataset_delete(dataset.pk, by=people.owner)
    assert services.storage_used(people.team) == 0


def test_djangos_temporary_file_is_taken_over(make, people, home, settings) -> None:
    """Without a copy; a later end of the request does not take it away."""
    file = TemporaryUploadedFile("big.jsonl", "application/json", len(jsonl(GOOD)), None)
    file.write(jsonl(GOOD))
    file.flush()
    dataset = services.dataset_create(
        project=people.team, created_by=people.owner, name="linked", upload=file
    )
    file.close()
    assert dataset.latest.original.read_bytes() == jsonl(GOOD)


def test_a_big_file_is_checked_in_the_background(
    make, monkeypatch, django_capture_on_commit_callbacks
) -> None:
    """The upload answers at once; broken ones are told on the page."""
    monkeypatch.setattr(services.uploads, "SMALL", 10)
    good = make(name="good").latest
    assert (good.state, good.rows) == ("checking", 0)
    bad = make(b'{"a": 1}\n{"b"}\n', name="bad").latest
    with django_capture_on_commit_callbacks(execute=True):
        tasks.version_check(str(good.pk))
        tasks.version_check(str(bad.pk))
    good.refresh_from_db()
    bad.refresh_from_db()
    assert (good.state, good.rows) == ("ready", 30)
    assert (bad.state, bad.report["error"]["line"]) == ("broken", 2)
    assert services.version_unfit(bad, stage="sft").startswith("It is broken")


def test_one_process_checks_at_a_time(make, monkeypatch) -> None:
    """Who comes second leaves it to the first."""
    monkeypatch.setattr(services.uploads, "SMALL", 10)
    version = make().latest
    with locked(version.directory) as mine:
        assert mine
        assert services.version_check(version.pk) is False
    assert services.version_check(version.pk) is True
    assert services.version_check(version.pk) is False


def test_a_check_that_never_ends_is_given_up(make, monkeypatch) -> None:
    """A file that kills its checker does not do so for ever."""
    monkeypatch.setattr(services.uploads, "SMALL", 10)
    version = make().latest
    DatasetVersion.objects.filter(pk=version.pk).update(progress={"tries": 5})
    services.version_check(version.pk)
    version.refresh_from_db()
    assert (version.state, version.report["error"]["code"]) == ("broken", "check_failed")


def test_jobs_keep_their_data(make, people, tmp_path, home) -> None:
    """Rows laid out for a job stay when the dataset goes; the shared list forgets it."""
    dataset = make()
    name = services.versions_materialise([dataset.latest], tmp_path)[dataset.latest.pk]
    services.dataset_delete(dataset.pk, by=people.owner)
    assert len((tmp_path / f"{name}.jsonl").read_text().splitlines()) == 30


def test_deleting(make, people, django_capture_on_commit_callbacks, home) -> None:
    """One version, never the last one; then all, with their files."""
    dataset = make()
    with pytest.raises(Conflict):
        services.version_delete(dataset.latest.pk, by=people.owner)
    services.version_add(dataset.pk, by=people.owner, upload=upload(GOOD[:5]))
    with django_capture_on_commit_callbacks(execute=True):
        services.version_delete(dataset.versions.get(number=1).pk, by=people.owner)
    assert [path for path in _files(home) if "/v1/" in path] == []
    with django_capture_on_commit_callbacks(execute=True):
        services.dataset_delete(dataset.pk, by=people.owner)
    assert _files(home) == []
    assert json.loads((home / "data" / "dataset_info.json").read_text()) == {}


KILLED = """
import django
django.setup()
from django.core.files.uploadedfile import SimpleUploadedFile
from accounts.models import Project, User
from datasets import services
from tests.datasets.children import dies_after, dies_everywhere


def upload(steps):
    data = b"".join(b'{"instruction": "q%d", "output": "a"}\\n' % i for i in range(50))
    user = User.objects.get(username="owner")
    project = Project.objects.get(name="team")
    dies_after(steps)
    services.dataset_create(
        project=project,
        created_by=user,
        name=f"killed {steps}",
        upload=SimpleUploadedFile("a.jsonl", data),
    )


dies_everywhere(upload)
"""


@pytest.mark.django_db(transaction=True)
def test_killed_at_any_point(people, home) -> None:
    """kill -9 before every step that touches files: afterwards the sweep makes all whole."""
    done = children.run(KILLED)
    steps, status = map(int, done.stdout.split())
    assert status == 0, done.stderr
    assert steps > 20
    services.sweep()
    for version in DatasetVersion.objects.filter(state="checking"):
        tasks.version_check(str(version.pk))
    services.sweep()
    versions = list(DatasetVersion.objects.all())
    assert len(versions) > 5
    assert {version.state for version in versions} == {"ready"}
    kept = {str(version.directory.relative_to(home / "data")) for version in versions}
    for version in versions:
        found = {path.name for path in version.directory.iterdir()} - {".lock"}
        assert found == {"original", "rows.jsonl", "rows.idx", version.check_name}
    assert {"/".join(path.split("/")[:2]) for path in _files(home)} == kept
    assert list((home / "data" / ".incoming").iterdir()) == []


def test_sweep_leaves_a_living_upload_alone(home) -> None:
    """A folder whose maker lives is locked."""
    folder = home / "data" / ".incoming" / "x"
    folder.mkdir(parents=True)
    with locked(folder):
        services.sweep()
        assert folder.exists()
    services.sweep()
    assert not folder.exists()


MEASURED = """
import sys
from pathlib import Path
import django
django.setup()
from datasets.checking import rows_check
from datasets.ingest import contents_ingest
from datasets.shapes.detect import guess
from tests.memory import peak_kilobytes
folder = Path(sys.argv[1])
before = peak_kilobytes()
found = contents_ingest(folder, folder / "original", sys.argv[2], line_limit=16 << 20)
(folder / "check").mkdir()
outcome = rows_check(folder / "rows.jsonl", folder / "check", guess(found.sample).mapping)
after = peak_kilobytes()
print(outcome.usable, after // 1024, (after - before) // 1024)
"""


@pytest.mark.once
def test_memory_is_bounded(tmp_path) -> None:
    """200 MB take less than 50 MB more than the empty program."""
    example = {"instruction": "q" * 2000, "output": "答" * 6000}
    row = json.dumps(example, ensure_ascii=False).encode()
    count = 200 * 2**20 // len(row)
    with (tmp_path / "original").open("wb") as file:
        file.write(b"[")
        for number in range(count):
            file.write((b",\n" if number else b"") + row)
        file.write(b"]")
    done = children.run(MEASURED, str(tmp_path), "a.json")
    usable, _whole, more = map(int, done.stdout.split())
    assert usable == count
    assert more < 50


def test_several_files_become_one_version(make, people) -> None:
    """With their places in the folder; files of one name are told apart."""
    files = [
        upload(GOOD[:2], "a.jsonl"),
        upload(GOOD[2:5], "a.jsonl"),
        upload(GOOD[5:6], "b.jsonl"),
    ]
    given = services.given_as_one(files, paths=["x/a.jsonl", "x/a.jsonl", "x/y/b.jsonl"])
    dataset = services.dataset_create(
        project=people.team, created_by=people.owner, name="folder", upload=given
    )
    version = dataset.latest
    assert (version.state, version.rows, version.filename) == ("ready", 6, "x.zip")
    assert [(file["name"], file["rows"]) for file in version.contained] == [
        ("x/a.jsonl", 2),
        ("x/a (2).jsonl", 3),
        ("x/y/b.jsonl", 1),
    ]


def test_nothing_and_both_are_refused() -> None:
    """Files or pasted rows."""
    for files, text in (([], " \n"), ([upload(GOOD)], "{}")):
        with pytest.raises(DomainError) as refused:
            services.given_as_one(files, text=text)
        assert refused.value.code == "nothing_given"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('{"instruction": "a", "output": "b"}\n{"instruction": "c", "output": "d"}', "jsonl"),
        ('\n[{"instruction": "a", "output": "b"}, {"instruction": "c", "output": "d"}]', "json"),
        ("instruction\toutput\r\na\tb\r\nc\td", "csv"),
    ],
)
def test_pasted_rows(make, people, text: str, kind: str) -> None:
    """Their first sign says what they are."""
    dataset = services.dataset_create(
        project=people.team,
        created_by=people.owner,
        name="pasted",
        upload=services.given_as_one([], text=text),
    )
    version = dataset.latest
    assert (version.state, version.rows, version.file_format) == ("ready", 2, kind)


def test_what_takes_long_goes_on_without_the_uploader(
    make, monkeypatch, django_capture_on_commit_callbacks
) -> None:
    """A small file, too, is left to the background when reading it takes long."""
    monkeypatch.setattr(services.uploads, "PATIENCE", -1)
    version = make(samples.docx(), filename="a.docx").latest
    assert version.state == "checking"
    with django_capture_on_commit_callbacks(execute=True):
        tasks.version_check(str(version.pk))
    version.refresh_from_db()
    assert (version.state, version.shape, version.rows) == ("ready", "text", 3)
    assert version.file_format == "docx"


def test_columns_that_change_half_way(make) -> None:
    """Rows with other columns are left out, each with its line; the rest is used."""
    rows = [*GOOD, *({"question": f"q{n}", "answer": "a"} for n in range(5))]
    version = make(rows).latest
    assert (version.state, version.rows, version.dropped) == ("ready", len(GOOD), 5)
    lines = [finding["line"] for finding in version.report["findings"]]
    assert sorted(set(lines)) == list(range(len(GOOD) + 1, len(rows) + 1))
    table = "instruction,output\n" + "q,a\n" * 5 + "q,a,more\n"
    version = make(table.encode(), name="table", filename="a.csv").latest
    assert (version.state, version.rows) == ("ready", 5)
    assert "Line 7 has 3 fields" in version.left_out[0]["problem"]
