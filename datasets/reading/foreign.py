"""Starts the parser of foreign formats and watches it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from django.conf import settings

from datasets.reading.told import left_out_told, refusal_told

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
        raise refusal_told({"code": code, "values": {"seconds": seconds}})
    told = json.loads(answer)
    if "refused" in told:
        raise refusal_told(told["refused"])
    return left_out_told(told.get("partly", []))
