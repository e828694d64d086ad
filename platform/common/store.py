"""The S3-compatible store behind the platform's directory, where settings name one.

TRAINER_HOME stays the place that everything works in. What has settled there (versions of datasets
and models, outputs, logs, predictions) is also kept in the bucket, under the same relative path and
with its SHA-256 beside it: for downloads by link, for nodes that share no directory, and against
the loss of the disk. Objects are read in pieces or by link, never as a whole into memory.
"""

import hashlib
import os
from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core.files.storage import storages

PART_BYTES = 16 * 2**20
READ_BYTES = 2**20
LINK_SECONDS = 300
DELETE_AT_ONCE = 1000
Failed = (BotoCoreError, ClientError)


class Corrupt(Exception):
    """What came from the store is not what was put there."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An object: its size in bytes, the SHA-256 that was noted with it, the store's own mark."""

    key: str
    size: int
    sha256: str
    etag: str


def is_remote() -> bool:
    """Whether there is a store."""
    return bool(settings.S3_BUCKET)


def key_of(path: Path) -> str:
    """The object's name: the path below TRAINER_HOME. Raises ValueError for what lies outside."""
    return path.relative_to(settings.TRAINER_HOME).as_posix()


def _name(key: str) -> str:
    prefix = str(settings.S3_PREFIX)
    return f"{prefix}/{key}" if prefix else key


def _client() -> Any:
    return storages["default"].connection.meta.client  # type: ignore[attr-defined]


def found(key: str) -> Stored | None:
    """The object of that name; None when there is none. Raises one of `Failed`."""
    try:
        facts = _client().head_object(Bucket=settings.S3_BUCKET, Key=_name(key))
    except ClientError as error:
        if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 404:
            return None
        raise
    sha256 = facts.get("Metadata", {}).get("sha256", "")
    return Stored(key, int(facts["ContentLength"]), sha256, str(facts["ETag"]))


def sizes(prefix: str) -> dict[str, int]:
    """Key and size of all objects whose key begins so."""
    pages = _client().get_paginator("list_objects_v2")
    cut = len(_name("x")) - 1
    return {
        str(row["Key"])[cut:]: int(row["Size"])
        for page in pages.paginate(Bucket=settings.S3_BUCKET, Prefix=_name(prefix))
        for row in page.get("Contents", ())
    }


def put(path: Path, key: str) -> Stored:
    """Keeps a file. A large one goes in parts; those that an earlier try brought are left out."""
    sha256 = _sha256(path)
    known = found(key)
    size = path.stat().st_size
    if known is not None and (known.size, known.sha256) == (size, sha256):
        return known
    facts = {"Bucket": settings.S3_BUCKET, "Key": _name(key)}
    metadata = {"sha256": sha256}
    if size <= PART_BYTES:
        with path.open("rb") as file:
            _client().put_object(**facts, Body=file, Metadata=metadata)
    else:
        _put_parts(path, facts, metadata)
    stored = found(key)
    if stored is None or stored.size != size:
        raise Corrupt(f"{key} is not in the store as it was sent")
    return stored


def _put_parts(path: Path, facts: dict[str, str], metadata: dict[str, str]) -> None:
    client = _client()
    upload = _open_upload(client, facts)
    if upload is None:
        upload = client.create_multipart_upload(**facts, Metadata=metadata)["UploadId"]
    there = {}
    for page in client.get_paginator("list_parts").paginate(**facts, UploadId=upload):
        there.update({row["PartNumber"]: row["ETag"].strip('"') for row in page.get("Parts", ())})
    parts = []
    with path.open("rb") as file:
        number = 0
        while data := file.read(PART_BYTES):
            number += 1
            digest = hashlib.md5(data, usedforsecurity=False)
            etag = there.get(number)
            if etag != digest.hexdigest():
                mark = b64encode(digest.digest()).decode()
                sent = client.upload_part(
                    **facts, UploadId=upload, PartNumber=number, Body=data, ContentMD5=mark
                )
                etag = sent["ETag"].strip('"')
            parts.append({"PartNumber": number, "ETag": etag})
    client.complete_multipart_upload(**facts, UploadId=upload, MultipartUpload={"Parts": parts})


def _open_upload(client: Any, facts: dict[str, str]) -> str | None:
    """The newest upload of this object that was begun and not finished."""
    answer = client.list_multipart_uploads(Bucket=facts["Bucket"], Prefix=facts["Key"])
    mine = [row for row in answer.get("Uploads", ()) if row["Key"] == facts["Key"]]
    return str(max(mine, key=lambda row: row["Initiated"])["UploadId"]) if mine else None


def get(stored: Stored, target: Path) -> None:
    """Brings an object to `target`, going on where an earlier try stopped. Raises `Corrupt`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{stored.etag.strip(chr(34))[:16]}.part")
    with part.open("ab") as file:
        offset = file.tell()
        if offset < stored.size:
            for piece in pieces(stored, offset):
                file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    if part.stat().st_size != stored.size or _sha256(part) != (stored.sha256 or _sha256(part)):
        part.unlink()
        raise Corrupt(f"{stored.key} came broken from the store")
    part.replace(target)


def pieces(stored: Stored, offset: int = 0) -> Iterator[bytes]:
    """The object's bytes from `offset` on, as they come."""
    span = {"Range": f"bytes={offset}-"} if offset else {}
    answer = _client().get_object(
        Bucket=settings.S3_BUCKET, Key=_name(stored.key), IfMatch=stored.etag, **span
    )
    yield from answer["Body"].iter_chunks(READ_BYTES)


def bring(path: Path) -> bool:
    """Brings a file or a whole folder back from the store; whether there was one."""
    key = key_of(path)
    one = found(key)
    if one is not None:
        get(one, path)
        return True
    below = sizes(f"{key}/")
    for name in below:
        stored = found(name)
        if stored is not None:
            get(stored, path / name.removeprefix(f"{key}/"))
    return bool(below)


def link(key: str, *, filename: str = "", seconds: int = LINK_SECONDS, inside: bool = False) -> str:
    """An address that anybody may read the object at, for a while.

    `inside` is for our own machines: by the store's own address, not the one for browsers.
    """
    parameters = {}
    if filename:
        words = f"attachment; filename*=UTF-8''{quote(filename)}"
        parameters = {"ResponseContentDisposition": words}
    storage = storages["default" if inside else "public"]
    return str(storage.url(key, parameters=parameters, expire=seconds))  # type: ignore[call-arg]


def drop(keys: Iterable[str]) -> None:
    """Deletes objects; those that are not there are no trouble."""
    names = [{"Key": _name(key)} for key in keys]
    for start in range(0, len(names), DELETE_AT_ONCE):
        _client().delete_objects(
            Bucket=settings.S3_BUCKET,
            Delete={"Objects": names[start : start + DELETE_AT_ONCE], "Quiet": True},
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
