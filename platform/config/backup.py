"""A backup of everything the platform knows, made while it runs, and its way back.

A backup is a folder: `database.sqlite3` or `database.dump`, `files/` as they lie in TRAINER_HOME,
`files.jsonl` with size and SHA-256 of each, and `manifest.json`, which is written last: without it
the folder is no backup. The database is taken first and as of one moment; files only ever come
before the rows that speak of them, so whatever a row names is there.
"""

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

from common import store
from datasets.models.versions import INDEXES

FORMAT = 1
READ_BYTES = 2**20
MANIFEST, LIST, FILES = "manifest.json", "files.jsonl", "files"
DATABASES = {"sqlite": "database.sqlite3", "postgresql": "database.dump"}
# Made anew wherever they are missing, or true of one directory only.
LEFT_OUT = {"temp", "cache", "engines", "stored", "home-id", f"data/{INDEXES}"}
SECRET_FILE = "secret_key"  # noqa: S105  a name


class BackupError(Exception):
    """It cannot be done; the text says why and what to do."""


@dataclass
class Summary:
    """What was copied."""

    files: int = 0
    bytes: int = 0
    vanished: list[str] = field(default_factory=list)  # deleted by somebody meanwhile


def fingerprint() -> str:
    """Tells whether two installations have the same secret key, and nothing else of it."""
    key = str(settings.SECRET_KEY).encode()
    return hashlib.sha256(b"trainer-backup:" + key).hexdigest()[:16]


def backup(to: Path, *, with_hubs: bool = False) -> Summary:
    """Writes a backup into `to`, which must be new or empty. Raises `BackupError`."""
    home = Path(settings.TRAINER_HOME)
    if to.exists() and any(to.iterdir()):
        raise BackupError(f"{to} is not empty. Name a new folder: a backup never replaces another.")
    if to.resolve().is_relative_to(home.resolve()):
        raise BackupError(f"{to} lies inside of {home}. Name a folder on another disk.")
    to.mkdir(parents=True, exist_ok=True, mode=0o700)
    to.chmod(0o700)
    _dump(to)
    left_out = LEFT_OUT if with_hubs else LEFT_OUT | {"hf-cache"}
    summary = _copy_home(home, to, left_out)
    content = {
        "format": FORMAT,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "database": connection.vendor,
        "migrations": _migrations(),
        "secret": fingerprint(),
        "holds_secret": _holds_secret(to),
        "files": summary.files,
        "bytes": summary.bytes,
    }
    _write(to / MANIFEST, json.dumps(content, indent=1) + "\n")
    return summary


def _holds_secret(to: Path) -> bool:
    """Whether the key that is in use lies among the files, and not outside of TRAINER_HOME."""
    path = to / FILES / SECRET_FILE
    return path.is_file() and path.read_text().strip() == settings.SECRET_KEY


def _migrations() -> dict[str, str]:
    """The newest migration of each app."""
    applied = MigrationRecorder(connection).applied_migrations()
    return dict(sorted(applied))


def _dump(to: Path) -> None:
    target = to / DATABASES[connection.vendor]
    if connection.vendor == "sqlite":
        name = str(connection.settings_dict["NAME"])
        with (
            closing(sqlite3.connect(f"file:{name}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(target)) as copy,
        ):
            source.backup(copy)
    else:
        words = ["--format=custom", "--no-owner", "--no-privileges", f"--file={target}"]
        _run("pg_dump", words)
    target.chmod(0o600)


def _run(program: str, words: list[str]) -> None:
    """Runs a program of PostgreSQL on our database."""
    facts = connection.settings_dict
    env = os.environ | {
        "PGHOST": str(facts["HOST"]),
        "PGPORT": str(facts["PORT"] or 5432),
        "PGUSER": str(facts["USER"]),
        "PGPASSWORD": str(facts["PASSWORD"]),
        "PGCONNECT_TIMEOUT": "10",
    }
    found = shutil.which(program) or next(
        (str(path) for path in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))[::-1]),
        None,
    )
    if found is None:
        raise BackupError(
            f"{program} is not installed. Install PostgreSQL's client programs in a version"
            " that is not older than the server."
        )
    done = subprocess.run(
        [found, *words, f"--dbname={facts['NAME']}"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BackupError(f"{program} failed: {done.stderr.strip()[-2000:]}")


def _copy_home(home: Path, to: Path, left_out: set[str]) -> Summary:
    summary = Summary()
    rows: dict[str, tuple[int, str]] = {}
    names: dict[tuple[int, int], Path] = {}  # files that have several names have them again
    for path in _files(home, left_out):
        relative = path.relative_to(home).as_posix()
        target = to / FILES / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            facts = path.stat()
            known = names.get((facts.st_dev, facts.st_ino)) if facts.st_nlink > 1 else None
            if known is not None:
                os.link(known, target)
                rows[relative] = rows[known.relative_to(to / FILES).as_posix()]
            else:
                rows[relative] = copy_file(path, target, facts.st_size)
                names[facts.st_dev, facts.st_ino] = target
        except FileNotFoundError:
            target.unlink(missing_ok=True)
            summary.vanished.append(relative)
    _leave_half_checkpoints(to, summary, rows)
    if store.is_remote():
        _copy_store(to, rows)
    lines = (
        json.dumps({"path": path, "size": size, "sha256": sha256}, ensure_ascii=False) + "\n"
        for path, (size, sha256) in sorted(rows.items())
    )
    _write(to / LIST, "".join(lines))
    summary.files, summary.bytes = len(rows), sum(size for size, _sha256 in rows.values())
    return summary


def _files(home: Path, left_out: set[str]) -> Iterator[Path]:
    """Every file that belongs to the state. Of a folder the files come before its folders: what a
    metric file announces was complete before it was copied.
    """
    database = str(connection.settings_dict["NAME"])
    for folder, folders, names in os.walk(home):
        here = Path(folder)
        inside = here.relative_to(home)
        folders[:] = [name for name in folders if (inside / name).as_posix() not in left_out]
        if here.parent == home / "output":
            folders[:] = [name for name in folders if name != "inputs"]  # links to what we copy
        folders.sort()
        for name in sorted(names):
            path = here / name
            if path.is_symlink() or not path.is_file() or str(path).startswith(database):
                continue
            if (inside / name).as_posix() in left_out:
                continue
            yield path


def _leave_half_checkpoints(to: Path, summary: Summary, rows: dict[str, tuple[int, str]]) -> None:
    """A checkpoint that its engine removed while it was copied must not be resumed from."""
    for name in summary.vanished:
        parts = Path(name).parts
        if parts[0] == "output" and len(parts) > 4:
            half = Path(*parts[:4]).as_posix()
            shutil.rmtree(to / FILES / half, ignore_errors=True)
            for known in [known for known in rows if known.startswith(f"{half}/")]:
                del rows[known]


def _copy_store(to: Path, rows: dict[str, tuple[int, str]]) -> None:
    """What only the store still has."""
    for key in store.sizes("").keys() - rows.keys():
        stored = store.found(key)
        if stored is not None:
            target = to / FILES / key
            store.get(stored, target)
            rows[key] = (stored.size, stored.sha256 or hash_of(target))


def copy_file(source: Path, target: Path, size: int) -> tuple[int, str]:
    """Copies the first `size` bytes with rights and time; how many they were, and their SHA-256."""
    digest, left = hashlib.sha256(), size
    with source.open("rb") as reader, target.open("wb") as writer:
        while left and (data := reader.read(min(READ_BYTES, left))):
            digest.update(data)
            writer.write(data)
            left -= len(data)
    shutil.copystat(source, target)
    return size - left, digest.hexdigest()


def hash_of(path: Path) -> str:
    """A file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def manifest_of(folder: Path) -> dict[str, Any]:
    """What a backup says of itself. Raises `BackupError` for what is none, or none of ours."""
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise BackupError(f"{folder} is not a complete backup: it has no {MANIFEST}.") from None
    if content.get("format") != FORMAT:
        raise BackupError(f"{folder} was made by another version: format {content.get('format')}.")
    if content["database"] != connection.vendor:
        raise BackupError(
            f"The backup holds a database of {content['database']}, and TRAINER_DATABASE_URL names"
            f" one of {connection.vendor}. Restore into the same kind."
        )
    if not content["holds_secret"] and content["secret"] != fingerprint():
        raise BackupError(
            "The backup was made with another secret key, which it does not hold. Set"
            " TRAINER_SECRET_KEY to the key of that installation."
        )
    if content["holds_secret"] and _is_given() and content["secret"] != fingerprint():
        raise BackupError(
            "TRAINER_SECRET_KEY is set to another key than the backup's. Leave it unset: the"
            " backup holds the key."
        )
    return dict(content)


def _is_given() -> bool:
    return bool({"TRAINER_SECRET_KEY", "TRAINER_SECRET_KEY_FILE"} & os.environ.keys())


def refuse_used() -> None:
    """Raises `BackupError` when somebody works with this directory or database already."""
    from accounts.models import User

    tables = connection.introspection.table_names()
    if User._meta.db_table in tables and User.objects.exists():
        raise BackupError(
            "The database has accounts already. Restore into a new TRAINER_HOME and an empty"
            " database: a restore never replaces what is there."
        )
    home = Path(settings.TRAINER_HOME)
    if any((home / "output").iterdir()):
        raise BackupError(f"{home} holds work already. Restore into a new TRAINER_HOME.")


def restore_files(folder: Path, *, with_secret: bool) -> Summary:
    """Copies all files to TRAINER_HOME and compares each. Raises `BackupError`."""
    home, summary = Path(settings.TRAINER_HOME), Summary()
    names: dict[tuple[int, int], Path] = {}
    for line in (folder / LIST).read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        relative = Path(row["path"])
        if relative.is_absolute() or ".." in relative.parts:
            raise BackupError(f"The backup names {relative}, which lies outside of it.")
        if relative.name == SECRET_FILE and not with_secret:
            continue
        source, target = folder / FILES / relative, home / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            facts = source.stat()
        except FileNotFoundError:
            raise BackupError(f"The backup is damaged: {relative} is missing.") from None
        target.unlink(missing_ok=True)
        known = names.get((facts.st_dev, facts.st_ino)) if facts.st_nlink > 1 else None
        if known is not None:
            os.link(known, target)
        else:
            got = copy_file(source, target, facts.st_size)
            if got != (row["size"], row["sha256"]):
                target.unlink()
                raise BackupError(f"The backup is damaged: {relative} is not what it was.")
            names[facts.st_dev, facts.st_ino] = target
        summary.files, summary.bytes = summary.files + 1, summary.bytes + int(row["size"])
    return summary


def restore_database(folder: Path) -> None:
    """Puts the database back. Raises `BackupError`."""
    source = folder / DATABASES[connection.vendor]
    if connection.vendor == "postgresql":
        words = ["--clean", "--if-exists", "--no-owner", "--no-privileges", "--exit-on-error"]
        connection.close()
        _run("pg_restore", [*words, "--single-transaction", str(source)])
        return
    target = Path(str(connection.settings_dict["NAME"]))
    connection.close()
    for ending in ("", "-wal", "-shm"):
        target.with_name(target.name + ending).unlink(missing_ok=True)
    draft = target.with_name(f".{target.name}.restored")
    shutil.copyfile(source, draft)
    draft.replace(target)
