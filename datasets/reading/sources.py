"""In which encoding a text is; all are read as UTF-8."""

import codecs
from pathlib import Path
from typing import BinaryIO

import charset_normalizer

from common.phrases import gettext as _
from datasets.reading.refusals import BadFile

CHUNK = 1 << 20
# So many characters beyond ASCII in good order before the first wrong byte mean damaged UTF-8 and
# not another encoding: decoding such a file as GB18030 would "work" and ruin every word.
DAMAGED_AFTER = 16


def encoding_of(path: Path) -> str:
    """The encoding as a codec name: utf-8, utf-8-sig, utf-16…, gb18030.

    Reads the file once. `BadFile` names the byte and the line when no encoding fits.
    """
    with path.open("rb") as file:
        head = file.read(4096)
        if not head.strip():
            raise BadFile(_("The file is empty."), code="empty")
        if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
            return "utf-32"
        if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        if b"\0" in head:
            return _utf16_by_zeros(head)
        file.seek(0)
        bad, good_before = _first_bad_byte(file)
    if bad is None:
        return "utf-8-sig" if head.startswith(codecs.BOM_UTF8) else "utf-8"
    if good_before < DAMAGED_AFTER and _looks_like_gb18030(path, bad):
        return "gb18030"
    raise _undecodable(path, bad, "UTF-8")


def transcode(path: Path, encoding: str, target: Path) -> None:
    """Writes the file as UTF-8 without a mark at its start; `BadFile` at the first wrong byte."""
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    offset = 0
    with path.open("rb") as source, target.open("wb") as sink:
        while True:
            chunk = source.read(CHUNK)
            pending = len(_state(decoder))
            try:
                sink.write(decoder.decode(chunk, final=not chunk).encode("utf-8"))
            except UnicodeError as error:
                start = error.start if isinstance(error, UnicodeDecodeError) else 0
                raise _undecodable(path, offset - pending + start, encoding) from error
            if not chunk:
                return
            offset += len(chunk)


def _state(decoder: codecs.IncrementalDecoder) -> bytes:
    return decoder.getstate()[0]


def _first_bad_byte(file: BinaryIO) -> tuple[int | None, int]:
    """Where the first byte is that is no UTF-8; how many characters beyond ASCII came before."""
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    offset = good = 0
    while True:
        chunk = file.read(CHUNK)
        pending = len(_state(decoder))
        try:
            text = decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            before = chunk[: max(error.start - pending, 0)].decode("utf-8", "ignore")
            return offset - pending + error.start, good + _beyond_ascii(before)
        if not chunk:
            return None, good
        if b"\0" in chunk:
            raise BadFile(
                _("Byte %(offset)s is zero: this is not text.")
                % {"offset": offset + chunk.index(b"\0")},
                code="binary",
                offset=offset + chunk.index(b"\0"),
            )
        if good < DAMAGED_AFTER:
            good += _beyond_ascii(text)
        offset += len(chunk)


def _beyond_ascii(text: str) -> int:
    return 0 if text.isascii() else sum(1 for letter in text if ord(letter) > 127)


def _utf16_by_zeros(head: bytes) -> str:
    """UTF-16 without a mark: most characters of JSON and CSV have a zero half."""
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if odd > 4 * even + 4:
        return "utf-16-le"
    if even > 4 * odd + 4:
        return "utf-16-be"
    raise BadFile(
        _("Byte %(offset)s is zero: this is not text.") % {"offset": head.index(b"\0")},
        code="binary",
        offset=head.index(b"\0"),
    )


def _looks_like_gb18030(path: Path, bad: int) -> bool:
    """Whether the surroundings of the first wrong byte read well as Chinese."""
    with path.open("rb") as file:
        start = max(bad - 2048, 0)
        file.seek(start)
        sample = file.read(128 * 1024)
    # The sample must not begin or end within a character, and must hold the wrong byte.
    first = sample.find(b"\n", 0, bad - start) + 1 if start else 0
    last = max(sample.rfind(sign) for sign in (b"\n", b" ", b'"'))
    sample = sample[first : last if last > bad - start else len(sample)]
    best = charset_normalizer.from_bytes(sample, cp_isolation=["gb18030"], threshold=0.2).best()
    return best is not None


def _undecodable(path: Path, offset: int, encoding: str) -> BadFile:
    line, column = _place(path, offset)
    return BadFile(
        _(
            "Line %(line)s, byte %(column)s of the line (byte %(offset)s of the file) is not"
            " %(encoding)s, and no other encoding fits. Save the file as UTF-8 and upload it again."
        )
        % {"line": line, "column": column, "offset": offset, "encoding": encoding},
        code="encoding",
        line=line,
        column=column,
        offset=offset,
    )


def _place(path: Path, offset: int) -> tuple[int, int]:
    """Line and byte in the line, counted from 1, of a byte of the file."""
    line, line_start, position = 1, 0, 0
    with path.open("rb") as file:
        while position < offset:
            chunk = file.read(min(CHUNK, offset - position))
            if not chunk:
                break
            newlines = chunk.count(b"\n")
            if newlines:
                line += newlines
                line_start = position + chunk.rindex(b"\n") + 1
            position += len(chunk)
    return line, offset - line_start + 1
