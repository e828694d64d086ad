"""Files of a version as downloads."""

from pathlib import Path

from django.http import Http404, HttpResponseBase

from common.downloads import download
from common.phrases import gettext as _
from datasets.models import DatasetVersion

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
        "findings": (version.check_directory / "findings.jsonl", f"{stem}-findings.jsonl"),
    }
    if form not in paths:
        raise Http404(_("There is no such file."))
    if form in {"train", "findings"} and not version.check_name:
        raise Http404(_("The version was not checked yet."))
    path, name = paths[form]
    try:
        response = download(path, filename=name, content_type="application/octet-stream")
    except FileNotFoundError as error:
        raise Http404(_("There is no such file.")) from error
    response["Cache-Control"] = "private, max-age=0"
    return response
