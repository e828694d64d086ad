"""`python -m datasets.parsing KIND SOURCE TARGET NAME MEMORY SECONDS SIZE`.

Prints one JSON line: `{}` when the target is whole, `{"refused": {"code": …, "values": …}}` when
there is none, and `{"partly": […]}` with the fields of each `Partly` when some of it is left out.
"""

import errno
import json
import re
import sys
from collections.abc import Callable
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from datasets.parsing.limits import confine
from datasets.parsing.refusals import Partly, Refused

# Of source, target, name for people, bytes at most.
Parser = Callable[[Path, Path, str, int], list[Partly] | None]
KINDS = {
    "text": "plain:text_parse",
    "markdown": "plain:markdown_parse",
    "html": "markup:html_parse",
    "epub": "epub:epub_parse",
    "docx": "word:docx_parse",
    "pdf": "pdf:pdf_parse",
    "parquet": "tables:parquet_parse",
    "arrow": "tables:arrow_parse",
    "sheets": "sheets:sheets_open",
    "zip": "archives:zip_open",
    "tar": "archives:tar_open",
    "gzip": "archives:stream_open",
    "bzip2": "archives:stream_open",
    "xz": "archives:stream_open",
    "zstd": "archives:stream_open",
}


def _parse(kind: str, source: Path, target: Path, name: str, size: int) -> list[Partly] | None:
    module, function = KINDS[kind].split(":")
    parser: Parser = getattr(import_module(f"datasets.parsing.{module}"), function)
    try:
        return parser(source, target, name, size)
    except MemoryError as error:
        raise Refused("parser_memory") from error
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise Refused("parser_output") from error
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise Refused("parser_disk") from error
        raise Refused("damaged", reason=_words(error, source, name)) from error
    except Refused:
        raise
    except Exception as error:  # foreign libraries raise what they like
        raise Refused("damaged", reason=_words(error, source, name)) from error


def _words(error: Exception, source: Path, name: str) -> str:
    """What the library says, of the file under the name that people know."""
    text = " ".join(re.split(r"\sLINE \d", str(error))[0].split()).replace(str(source), name)
    return text[:200] or type(error).__name__


def main() -> None:
    """Parses one file within the limits."""
    kind, source, target, name, memory, seconds, size = sys.argv[1:]
    confine(memory=int(memory), seconds=int(seconds), size=int(size))
    told: dict[str, Any] = {}
    try:
        partly = _parse(kind, Path(source), Path(target), name, int(size))
        if partly:
            told = {"partly": [asdict(one) for one in partly]}
    except Refused as refused:
        told = {"refused": {"code": refused.code, "values": refused.values}}
    print(json.dumps(told))  # noqa: T201


main()
