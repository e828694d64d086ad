"""Tables in columns: DuckDB reads Parquet itself, and Arrow through nanoarrow's few megabytes."""

import errno
import os
import resource
from pathlib import Path
from typing import Any

import duckdb

_FLOATS = {"FLOAT", "DOUBLE"}


def parquet_parse(source: Path, target: Path, _name: str, _size: int) -> None:
    """All rows in order; nested columns become objects and lists."""
    _copy(_confined(source.parent, target.parent), "read_parquet(?)", [str(source)], target)


def arrow_parse(source: Path, target: Path, _name: str, _size: int) -> None:
    """Record batches of a stream, or of a file, which holds one after its first eight bytes."""
    import nanoarrow

    with source.open("rb") as stream:
        stream.seek(8 if stream.read(6) == b"ARROW1" else 0)
        with nanoarrow.ArrayStream.from_readable(stream) as batches:
            database = _confined(source.parent, target.parent)
            database.register("batches", batches)
            _copy(database, "batches", [], target)


def _confined(*folders: Path) -> duckdb.DuckDBPyConnection:
    """A database in memory that may touch these folders and nothing else."""
    memory = resource.getrlimit(resource.RLIMIT_AS)[0] // 2  # the rest is for what it is made of
    database = duckdb.connect(config={"threads": 1, "memory_limit": f"{memory >> 20}MiB"})
    database.execute("SET allowed_directories = ?", [[str(folder) for folder in folders]])
    database.execute("SET temp_directory = ''")
    database.execute("SET enable_external_access = false")
    database.execute("SET lock_configuration = true")
    return database


def _copy(database: duckdb.DuckDBPyConnection, table: str, given: list[str], target: Path) -> None:
    try:
        columns = database.execute(f"DESCRIBE FROM {table}", given).fetchall()
        selected = _selected(columns)
        database.execute(
            f"COPY (SELECT {selected} FROM {table}) TO ? (FORMAT json)",  # noqa: S608
            [*given, str(target)],
        )
    except duckdb.OutOfMemoryException as error:
        raise MemoryError from error
    except duckdb.IOException as error:
        for number in (errno.EFBIG, errno.ENOSPC):
            if os.strerror(number) in str(error):
                raise OSError(number, os.strerror(number)) from error
        raise


def _selected(columns: list[tuple[Any, ...]]) -> str:
    """All columns; what is no number in JSON (NaN and the infinite) becomes null."""
    names = [('"' + name.replace('"', '""') + '"', kind) for name, kind, *_rest in columns]
    return ", ".join(
        f"CASE WHEN isfinite({name}) THEN {name} END AS {name}" if kind in _FLOATS else name
        for name, kind in names
    )
