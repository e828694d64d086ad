"""In which encoding a text is; all are read as UTF-8."""

import codecs
from pathlib import Path
from typing import BinaryIO

import charset_normalizer

from common.phrases import gettext as _
from datasets.reading.leaving import leave_out, refuse_mostly_broken
from datasets.reading.refusals import BadFile, empty_file

CHUNK = 1 << 20
# So many characters beyond ASCII in good order before the first wrong byte mean damaged UTF-8 and
# not another encoding: decoding such a file as GB18030 would "work" and ruin every word.
DAMAGED_AFTER = 16
ONE_BYTE = (
    "cp1252", "cp1250", "cp1251", "koi8_r", "cp1253", "cp1254", "cp1255", "cp1256",
)  # fmt: skip
ENCODINGS = ("gb18030", "big5hkscs", "cp932", "euc_jp", "euc_kr", *ONE_BYTE)
USUAL = ("gb18030", "big5hkscs", "cp1252")  # that count where others read as well
EVIDENCE = 4  # bytes beyond ASCII that a text in an encoding of one byte must have
UTF8 = frozenset({"utf-8", "utf-8-sig"})
TWO_BYTES = frozenset({"utf-16", "utf-16-le", "utf-16-be", "utf-32"})  # a sign or more
_NEVER = b"\xff"  # in UTF-8
ALIKE = 0.02  # two readings that differ by no more are equally good


def encoding_of(path: Path, *, by_lines: bool = False) -> str:
    """The encoding as a codec name: utf-8, utf-8-sig, utf-16…, or one of `ENCODINGS`.

    Reads the file once or twice. `BadFile` names the byte and the line when no encoding fits, and
    the line where another one begins; not so `by_lines`, which finds the encoding of the others.
    """
    with path.open("rb") as file:
        head = file.read(4096)
        if not head.strip():
            raise empty_file()
        if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
            return "utf-32"
        if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        if b"\0" in head:
            return utf16_by_zeros(head)
        file.seek(0)
        bad, good_before = _first_bad_byte(file)
    utf8 = "utf-8-sig" if head.startswith(codecs.BOM_UTF8) else "utf-8"
    if bad is None:
        return utf8
    if good_before < DAMAGED_AFTER:
        found = _guessed(path, bad, good_before, by_lines=by_lines)
        if not by_lines and (found or _reads_as_chinese(path, bad)):
            _refuse_mixed(path)
        if found:
            return found
    if by_lines:
        return utf8
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


def lines_transcode(path: Path, encoding: str, target: Path) -> None:
    """Writes the file as UTF-8, line by line: where one is of another encoding or damaged, its
    bytes stay, behind one that no UTF-8 has. Not for encodings in which a line ends by two bytes.
    """
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    with path.open("rb") as source, target.open("wb") as sink:
        begins = True
        while piece := source.readline(CHUNK):
            ends = piece.endswith(b"\n")
            try:
                if encoding not in UTF8 and begins and not piece.isascii() and _is_utf8(piece):
                    raise UnicodeError
                text = decoder.decode(piece, final=ends or len(piece) < CHUNK)
                sink.write(text.encode("utf-8"))
            except UnicodeError:
                sink.write(_NEVER + piece)
                decoder.reset()
            begins = ends


def lines_decoded(path: Path, target: Path) -> list[BadFile]:
    """Copies the lines that are UTF-8; gives the others. `BadFile` when these are too many."""
    left_out: list[BadFile] = []
    number, good, begins, bad = 0, 0, True, False
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    with path.open("rb") as source, target.open("wb") as sink:
        while piece := source.readline(CHUNK):
            ends = piece.endswith(b"\n")
            number += begins
            bad = bad and not begins
            try:
                decoder.decode(piece, final=ends or len(piece) < CHUNK)
            except UnicodeDecodeError:
                decoder.reset()
                if not bad:
                    leave_out(left_out, not_decoded(number))
                bad = True
            if not bad:
                sink.write(piece)
                good += begins and not piece.isspace()
            begins = ends
    refuse_mostly_broken(left_out, good)
    return left_out


def is_decoded(line: bytes) -> bool:
    """Whether it is UTF-8."""
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def not_decoded(line: int) -> BadFile:
    """The refusal of a line with bytes that are not of the file's encoding."""
    return BadFile(
        _(
            "Line %(line)s is damaged or in another encoding than other lines. Save the whole file"
            " as UTF-8."
        )
        % {"line": line},
        code="encoding",
        line=line,
    )


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


def utf16_by_zeros(head: bytes) -> str:
    """UTF-16 without a mark: most characters of JSON and CSV have a zero half. `BadFile` names the
    first zero of what is none.
    """
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


def _guessed(path: Path, bad: int, good_before: int, *, by_lines: bool) -> str:
    """The encoding in which the surroundings of the first wrong byte read best; empty when several
    read equally well and differently.
    """
    with path.open("rb") as file:
        start = max(bad - 2048, 0)
        file.seek(start)
        sample = file.read(128 * 1024)
    # The sample must not begin or end within a character, and must hold the wrong byte.
    first = sample.find(b"\n", 0, bad - start) + 1 if start else 0
    last = max(sample.rfind(sign) for sign in (b"\n", b" ", b'"'))
    sample = sample[first : last if last > bad - start else len(sample)]
    if by_lines:
        sample = b"".join(line for line in sample.splitlines(True) if not _is_utf8(line))
    found = charset_normalizer.from_bytes(sample, cp_isolation=list(ENCODINGS), threshold=0.2)
    best = found.best()
    if best is None:
        return ""
    fits = [
        one
        for one in found
        if one.chaos <= best.chaos + ALIKE and one.coherence >= best.coherence - ALIKE
    ]
    names = {name for one in fits for name in one.could_be_from_charset}
    usual = next((name for name in USUAL if name in names), "")
    if not usual and len({str(one) for one in fits}) > 1:
        return ""
    name = usual or str(best.encoding)
    # A few odd bytes in plain English, or beside characters of good UTF-8, are damage.
    few = sum(byte > 127 for byte in sample) < EVIDENCE
    return "" if name in ONE_BYTE and (few or good_before) else name


def _reads_as_chinese(path: Path, bad: int) -> bool:
    """Whether the line of the first wrong byte is whole in GB18030, whatever the others are."""
    _line, column = _place(path, bad)
    with path.open("rb") as file:
        file.seek(bad - column + 1)
        try:
            return bool(file.readline(CHUNK).decode("gb18030"))
        except UnicodeDecodeError:
            return False


def _refuse_mixed(path: Path) -> None:
    """`BadFile` names the first line that is UTF-8 in a file that as a whole is not."""
    with path.open("rb") as file:
        number, begins = 1, True
        while line := file.readline(CHUNK):
            ends = line.endswith(b"\n")
            if begins and ends and not line.isascii() and _is_utf8(line):
                raise BadFile(
                    _(
                        "Line %(line)s is UTF-8, other lines are not. Save the whole file as UTF-8"
                        " and upload it again."
                    )
                    % {"line": number},
                    code="encoding",
                    line=number,
                )
            number, begins = number + ends, ends


def _is_utf8(line: bytes) -> bool:
    """Whether a line is UTF-8 beyond chance: three characters of three bytes, and all in order."""
    try:
        return sum(1 for sign in line.decode("utf-8") if ord(sign) > 0x7FF) >= 3
    except UnicodeDecodeError:
        return False


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
