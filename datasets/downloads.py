"""Files of a version as downloads."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from django.http import Http404, HttpResponseBase, StreamingHttpResponse
from django.utils.http import content_disposition_header
from django.utils.translation import get_language, override

from common.downloads import download, in_thread
from common.phrases import gettext as _
from datasets.checking import FINDINGS
from datasets.models import DatasetVersion
from datasets.shapes.findings import words

LINES_AT_ONCE = 1000
FORMS = ("original", "rows", "train", "findings")


def version_file(version: DatasetVersion, form: str) -> HttpResponseBase:
    """The uploaded file (`original`), all rows as JSONL (`rows`), what the engine reads (`train`),
    or all findings of the check (`findings`). The file is streamed; 404 when it is not there.
    """
    stem = f"{version.dataset.name}-v{version.number}"
    paths: dict[str, tuple[Path, str]] = {
        "original": (version.original, version.filename),
        "rows": (version.rows_path, f"{stem}.jsonl"),
        "train": (version.train_path, f"{stem}-train.jsonl"),
        "findings": (version.check_directory / FINDINGS, f"{stem}-findings.jsonl"),
    }
    if form not in paths:
        raise Http404(_("There is no such file."))
    if form in {"train", "findings"} and not version.check_name:
        raise Http404(_("The version was not checked yet."))
    path, name = paths[form]
    try:
        if form == "findings":
            response = _findings(path, name)
        else:
            response = download(path, filename=name, content_type="application/octet-stream")
    except FileNotFoundError as error:
        raise Http404(_("There is no such file.")) from error
    response["Cache-Control"] = "private, max-age=0"
    return response


def _findings(path: Path, name: str) -> HttpResponseBase:
    """All findings with their sentences in the reader's language, in which none is stored."""
    return StreamingHttpResponse(
        in_thread(_spoken(path.open("rb"), get_language())),
        content_type="application/octet-stream",
        headers={"Content-Disposition": content_disposition_header(True, name) or ""},
    )


def _spoken(file: BinaryIO, language: str | None) -> Iterator[bytes]:
    """In pieces of lines: whoever asks for the next has left the request's language."""
    with file:
        while lines := list(islice(file, LINES_AT_ONCE)):
            with override(language):
                yield b"".join(map(_line, lines))


def _line(stored: bytes) -> bytes:
    entry = json.loads(stored)
    entry["message"] = words(entry["code"], entry["detail"])
    return json.dumps(entry, ensure_ascii=False).encode() + b"\n"
