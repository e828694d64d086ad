"""Starts the parser of foreign formats, watches it, and says in words why it refused a file."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings

from common.phrases import gettext as _
from common.phrases import ngettext
from datasets.reading.refusals import BadFile, NotRead

_SECONDS = 20  # of processor time that any file gets, and so many more for each MB
_SECONDS_A_MB = 10
_BYTES = 64 * 2**20  # that may come of any file, and so many times its own size
_TIMES = 100
_UNPACKED_BYTES = 4 * 2**30  # that a small file may become, and a big one so many times itself
_UNPACKED_TIMES = 8
_PATIENCE = 5  # times its processor time that a parser may take when the machine is busy
_ENDS: dict[int, str] = {
    signal.SIGXCPU: "parser_time",
    signal.SIGABRT: "parser_memory",  # what compiled readers do when they get none
    # Sent by us when patience ends, by a system short of memory, or when the platform is stopped.
    signal.SIGKILL: "parser_stopped",
    signal.SIGTERM: "parser_stopped",
    signal.SIGINT: "parser_stopped",
    signal.SIGHUP: "parser_stopped",
}
_NOT_THE_FILE = {"parser_stopped", "parser_disk"}  # codes that say nothing about it
_ROOT = Path(__file__).resolve().parents[2]


def foreign_parse(
    kind: str, source: Path, target: Path, name: str, *, waiting: Callable[[], None]
) -> str:
    """Writes the rows of a document or table to the file `target` as JSON lines, or the members of
    an archive into the folder `target`, see `datasets.parsing`. Gives a sentence about what of it
    is left out, empty when nothing is.

    `waiting` is called now and then and may raise, which ends the parser. `BadFile` when the file
    is damaged or locked, or would take more memory, time or space than it may; `NotRead` when the
    parser was stopped by somebody else or the disk is full.
    """
    size = source.stat().st_size
    seconds = min(_SECONDS + (_SECONDS_A_MB * size >> 20), settings.PARSER_SECONDS)
    limits = (
        settings.PARSER_MEMORY_BYTES,
        seconds,
        min(
            _BYTES + _TIMES * size,
            max(_UNPACKED_BYTES, _UNPACKED_TIMES * size),
            settings.UPLOAD_MAX_BYTES,
        ),
    )
    given = [kind, source, target, name, *limits]
    until = time.monotonic() + _PATIENCE * seconds
    parser = subprocess.Popen(
        [sys.executable, "-m", "datasets.parsing", *map(str, given)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=_ROOT,
        env={"PATH": os.defpath, "LANG": "C.UTF-8"},  # none of ours: no secrets, no settings
    )
    try:
        while parser.poll() is None and time.monotonic() < until:
            try:
                parser.wait(0.1)
            except subprocess.TimeoutExpired:
                waiting()
    finally:
        if parser.poll() is None:
            parser.kill()
        answer, _errors = parser.communicate()
    if parser.returncode:
        code = _ENDS.get(-parser.returncode, "parser_crash")
        raise _refusal(code, {"seconds": seconds})
    told = json.loads(answer)
    if "refused" in told:
        raise _refusal(told["refused"]["code"], told["refused"]["values"])
    return _pictures(told["partly"]) if "partly" in told else ""


def _pictures(values: dict[str, Any]) -> str:
    return (
        ngettext(
            "%(count)s of %(pages)s pages holds pictures and no text and is left out: %(places)s."
            " Run a text recognition (OCR) over it first.",
            "%(count)s of %(pages)s pages hold pictures and no text and are left out: %(places)s."
            " Run a text recognition (OCR) over them first.",
            values["count"],
        )
        % values
    )


def _refusal(code: str, values: dict[str, Any]) -> BadFile:
    sentences = {
        "damaged": _("The file is damaged or not what its name says: %(reason)s"),
        "encrypted": _("The file is locked with a password. Save it without one."),
        "scanned": _(
            "No page of the document has text (pages: %(pages)s). Run a text recognition (OCR) over"
            " it first."
        ),
        "office": _("This Office file is no Word document and no sheet. Save slides as PDF."),
        "no_sheets": _("The workbook has no sheet with rows below a line of names."),
        "bomb": _("Unpacked, the file would have more than %(limit)s MB. Unpack and upload parts."),
        "too_many_files": _("The archive holds more than %(limit)s files. Upload it in parts."),
        "path": _(
            "The archive names a file %(name)s, which would lie outside of it or is too long."
        ),
        "parser_memory": _("Reading the file takes more memory than it may. Split it."),
        "parser_time": _(
            "Reading the file took more than %(seconds)s seconds of processor time. Split it."
        ),
        "parser_stopped": _(
            "Reading the file was stopped from outside: the machine is short of time or memory."
            " Upload it again when less goes on, or split it."
        ),
        "parser_output": _("The file would become far more than it is. Convert it to JSONL."),
        "parser_disk": _("The disk is full. Ask an operator for room, then try again."),
        "parser_crash": _("The file makes its reader fail: it is damaged. Save it anew."),
    }
    refusal = NotRead if code in _NOT_THE_FILE else BadFile
    return refusal(sentences[code] % values, code=code)
