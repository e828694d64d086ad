"""Tables in columns: DuckDB reads Parquet itself, and Arrow through arro3's few megabytes."""

import errno
import os
import resource
from pathlib import Path
from typing import Any

import duckdb

_FLOATS = {"float", "double"}
_NESTED = {"list", "array", "struct", "map"}


def parquet_parse(source: Path, target: Path, _name: str, _size: int) -> None:
    """All rows in order; nested columns become objects and lists."""
    _copy(_confined(source.parent, target.parent), "read_parquet(?)", [str(source)], target)


def arrow_parse(source: Path, target: Path, _name: str, _size: int) -> None:
    """Record batches of a stream, or of a file, which has a list of them at its end."""
    from arro3.io import read_ipc, read_ipc_stream

    with source.open("rb") as file:
        is_file = file.read(6) == b"ARROW1"
    database = _confined(source.parent, target.parent)
    database.register("batches", (read_ipc if is_file else read_ipc_stream)(source))
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
        relation = database.sql(f"FROM {table}", params=given or None)
        selected = ", ".join(
            f"{_finite(_quoted(name), kind)} AS {_quoted(name)}"
            for name, kind in zip(relation.columns, relation.types, strict=True)
        )
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


def _finite(value: str, kind: Any, depth: int = 0) -> str:
    """The value with null for what is no number in JSON (NaN and the infinite), however deep."""
    if kind.id in _FLOATS:
        return f"CASE WHEN isfinite({value}) THEN {value} END"
    if not _holds_floats(kind):
        return value
    inner = dict(kind.children)
    one = f"x{depth}"
    if kind.id == "struct":
        parts = ", ".join(
            f"{_quoted(name)} := {_finite(f'({value}).{_quoted(name)}', part, depth + 1)}"
            for name, part in inner.items()
        )
        return f"CASE WHEN {value} IS NOT NULL THEN struct_pack({parts}) END"
    if kind.id == "map":
        changed = _finite(one, inner["value"], depth + 1)
        values = f"list_transform(map_values({value}), lambda {one} : {changed})"
        return f"CASE WHEN {value} IS NOT NULL THEN map(map_keys({value}), {values}) END"
    return f"list_transform({value}, lambda {one} : {_finite(one, inner['child'], depth + 1)})"


def _holds_floats(kind: Any) -> bool:
    if kind.id in _FLOATS:
        return True
    if kind.id not in _NESTED:
        return False
    return any(_holds_floats(part) for _name, part in kind.children if not isinstance(part, int))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
