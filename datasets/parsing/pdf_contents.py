"""Whether what describes a PDF's page is damaged, so that it shows nothing, or less than is there.

PDFium shows what it can read and gives no way to the description. It does write a copy of pages,
and that plainly: every object in the open, and streams as they are or packed by Flate. Doubtful
descriptions, such as those packed in another way, count as whole.
"""

import contextlib
import io
import re
import zlib
from collections.abc import Callable, Iterator

import pypdfium2

_HEAD = 1 << 16  # bytes of the description of a page without anything on it that are looked at
_WHOLE = 1 << 22  # of one with text
_STRAY = 3  # bytes that may stand where none belong, as some programs leave them
_PLACE = re.compile(rb"(\d{10}) \d{5} n")
_OBJECT = re.compile(rb"(\d+) 0 obj\s*")
_REFERENCE = re.compile(rb"(\d+) 0 R")
_KIDS = re.compile(rb"/Kids\[([^\]]*)\]")
_LIST = re.compile(rb"\A\[[^\]]*\]")
_CONTENTS = re.compile(rb"/Contents(?: \d+ 0 R|\[[^\]]*\])")
_FLATE = re.compile(rb"/Filter(?:/FlateDecode\b|\[\s*/FlateDecode\s*\])")
_SPACES = b"\0\t\n\f\r "
_DELIMITERS = re.compile(rb"[\0\s()<>\[\]{}/%]+")
# What a string, a comment or the bytes of a picture begin with; how they go on and end.
_OPENING = re.compile(rb"\(|%|(?<![^\0\s])ID(?=[\0\s])")
_PARENTHESIS = re.compile(rb"\\.|[()]", re.DOTALL)
_LINE_END = re.compile(rb"[\r\n]|\Z")
_PICTURE_END = re.compile(rb"[\0\s]EI(?![^\0\s])")
_NAME = re.compile(rb"/[^\0\s()<>\[\]{}/%]*")
_PRINTABLE = bytes(range(0x20, 0x7F)) + _SPACES
_OPERATORS = frozenset(
    b"""
    b B b* B* BDC BI BMC BT BX c cm CS cs d d0 d1 Do DP EI EMC ET EX f F f* G g gs h i ID j J K k l
    m M MP n q Q re RG rg ri s S SC sc SCN scn sh T* Tc Td TD Tf Tj TJ TL Tm Tr Ts Tw Tz v w W W* y
    ' "
    """.split()
)


def damaged_among(document: pypdfium2.PdfDocument, numbers: list[int]) -> list[int]:
    """Those of some pages without anything on them, by number from 1, that are damaged."""
    return _among(document, numbers, _is_damaged)


def cut_among(document: pypdfium2.PdfDocument, numbers: list[int]) -> list[int]:
    """Those of some pages with text, by number from 1, of which damage hides a part."""
    return _among(document, numbers, _is_cut)


def _among(
    document: pypdfium2.PdfDocument, numbers: list[int], test: Callable[[list[bytes]], bool]
) -> list[int]:
    """Those of the pages whose packed descriptions do not pass the test."""
    if not numbers:
        return []
    copy = io.BytesIO()
    with contextlib.closing(pypdfium2.PdfDocument.new()) as pages:
        try:
            pages.import_pages(document, [number - 1 for number in numbers])
        except pypdfium2.PdfiumError:
            return []
        pages.save(copy)
    objects = _objects(copy.getvalue())
    tree = next((one for one in objects.values() if b"/Type/Pages" in one), b"")
    kids = _named(_KIDS, tree)
    if len(kids) != len(numbers):
        return []
    return [
        number
        for number, kid in zip(numbers, kids, strict=True)
        if (packed := _packed(objects, kid)) is not None and test(packed)
    ]


def _objects(copy: bytes) -> dict[int, bytes]:
    """The objects of the copy by their numbers, in their order."""
    table = copy.rindex(b"\nxref")
    places = [int(place) for place in _PLACE.findall(copy, table)]
    parts = (copy[place:end] for place, end in zip(places, [*places[1:], table], strict=True))
    return {int(found[1]): part[found.end() :] for part in parts if (found := _OBJECT.match(part))}


def _named(entry: re.Pattern[bytes], one: bytes) -> list[int]:
    """The numbers of the objects that an entry of an object names."""
    found = entry.search(one)
    return [int(number) for number in _REFERENCE.findall(found[0])] if found else []


def _packed(objects: dict[int, bytes], page: int) -> list[bytes] | None:
    """The parts of a page's description; None where one is packed in another way than by Flate."""
    streams = list(_streams(objects, _named(_CONTENTS, objects.get(page, b""))))
    if not all(_FLATE.search(how) for how, _data in streams):
        return None
    return [data for _how, data in streams]


def _is_damaged(packed: list[bytes]) -> bool:
    try:
        return not _describes(b"\n".join(_unpacked(data, _HEAD) for data in packed))
    except zlib.error:
        return True


def _is_cut(packed: list[bytes]) -> bool:
    """Whether the description ends too early, or garbage stands outside its texts and pictures."""
    try:
        contents = b"\n".join(_unpacked(data, _WHOLE) for data in packed)
    except zlib.error:
        return True
    outside = _outside(contents)
    if outside is None:
        return len(contents) < _WHOLE
    return len(_NAME.sub(b"", outside).translate(None, _PRINTABLE)) > _STRAY


def _outside(contents: bytes) -> bytes | None:
    """What stands outside strings, comments and pictures; None where one of these does not end."""
    parts, place = [], 0
    while opening := _OPENING.search(contents, place):
        parts.append(contents[place : opening.start()])
        end = _end(contents, opening)
        if end is None:
            return None
        place = end
    return b" ".join([*parts, contents[place:]])


def _end(contents: bytes, opening: re.Match[bytes]) -> int | None:
    if opening[0] != b"(":
        ending = _LINE_END if opening[0] == b"%" else _PICTURE_END
        found = ending.search(contents, opening.end())
        return found.end() if found else None
    depth = 1
    for one in _PARENTHESIS.finditer(contents, opening.end()):
        depth += {b"(": 1, b")": -1}.get(one[0], 0)
        if not depth:
            return one.end()
    return None


def _streams(objects: dict[int, bytes], numbers: list[int]) -> Iterator[tuple[bytes, bytes]]:
    """What is told of each stream, and its bytes. One object may be a list of all of them."""
    for number in numbers:
        for part in _named(_LIST, objects.get(number, b"")) or [number]:
            how, told, data = objects.get(part, b"").partition(b"stream\r\n")
            if told:
                yield how, data.rpartition(b"\r\nendstream")[0]


def _unpacked(data: bytes, most: int) -> bytes:
    """So many bytes of a description. `zlib.error` when it is damaged or cut; a wrong or missing
    sum at its end is what some programs write.
    """
    if not data.strip(_SPACES):
        return b""
    if data[0] & 15 != zlib.DEFLATED or int.from_bytes(data[:2]) % 31:
        raise zlib.error("no Flate")
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    found = unpacker.decompress(data[2:], most)
    if not unpacker.eof and not unpacker.unconsumed_tail:
        raise zlib.error("cut")
    return found


def _describes(contents: bytes) -> bool:
    """Whether it is nothing, or says something in the language of PDF."""
    if not contents.strip(_SPACES):
        return True
    odd = contents.translate(None, _PRINTABLE)
    return 2 * len(odd) < len(contents) and not _OPERATORS.isdisjoint(_DELIMITERS.split(contents))
