"""Files for the browser, streamed: nothing is copied to disk first or held in memory whole."""

import csv
import io
from collections.abc import Iterator

from django.http import StreamingHttpResponse
from django.utils.text import slugify
from zipstream import ZipStream

from common import store
from common.downloads import PIECE_BYTES, in_thread
from common.errors import Conflict
from common.phrases import gettext as _
from registry import rows, weights
from registry.metrics import METRICS
from registry.models import Evaluation, ModelVersion

ROWS_AT_ONCE = 200


def _response(chunks: Iterator[bytes], *, name: str, content_type: str) -> StreamingHttpResponse:
    response = StreamingHttpResponse(in_thread(chunks), content_type=content_type)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def file_name(text: str, ending: str) -> str:
    """A harmless file name for a person's words."""
    return f"{slugify(text) or 'file'}.{ending}"


def version_zip(version: ModelVersion) -> StreamingHttpResponse:
    """A version's files as one archive, stored without compression: weights hardly shrink."""
    directory = version.directory
    if directory is None:
        raise Conflict(_("There are no files here: this model is only on its hub."))
    if not directory.is_dir() and not (store.is_remote() and store.bring(directory)):
        raise Conflict(_("The model's files are gone."))
    archive = ZipStream(sized=True)
    folder = slugify(str(version)) or "model"
    for path in weights.walk(directory):
        archive.add_path(str(path), f"{folder}/{path.relative_to(directory).as_posix()}")
    response = _response(
        iter(archive), name=file_name(str(version), "zip"), content_type="application/zip"
    )
    response["Content-Length"] = str(len(archive))
    return response


def rows_jsonl(evaluation: Evaluation) -> StreamingHttpResponse:
    """The stored answers as they are, one JSON object a line."""
    if not evaluation.predictions.is_file():
        raise Conflict(_("The stored answers are gone."))

    def chunks() -> Iterator[bytes]:
        with evaluation.predictions.open("rb") as file:
            while chunk := file.read(PIECE_BYTES):
                yield chunk

    return _response(
        chunks(), name=file_name(str(evaluation), "jsonl"), content_type="application/jsonl"
    )


def rows_csv(evaluation: Evaluation) -> StreamingHttpResponse:
    """Questions, answers and scores per row as a table that spreadsheets open."""
    keys = [metric.key for metric in METRICS]

    def chunks() -> Iterator[bytes]:
        yield "\ufeff".encode()  # spreadsheets take the file for UTF-8 by it
        names = ("index", "prompt", "reference", "prediction", "baseline_prediction")
        yield _csv_line((*names, *keys))
        places = rows.order(evaluation)
        for start in range(0, len(places), ROWS_AT_ONCE):
            for row in rows.page(evaluation, places[start : start + ROWS_AT_ONCE]):
                texts = (row.prompt, row.reference, row.prediction, row.baseline_prediction or "")
                scores = (row.scores.get(key, "") for key in keys)
                yield _csv_line((row.index, *map(_harmless, texts), *scores))

    return _response(
        chunks(), name=file_name(str(evaluation), "csv"), content_type="text/csv; charset=utf-8"
    )


def _harmless(text: str) -> str:
    """A spreadsheet would run a cell that begins like a formula."""
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text


def _csv_line(cells: tuple[object, ...]) -> bytes:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue().encode()
