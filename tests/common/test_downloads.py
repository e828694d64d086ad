"""Files as downloads: in pieces, and as long as was announced."""

import tracemalloc
from pathlib import Path

import pytest

from common.downloads import PIECE_BYTES, Download

BIG = 64 * 2**20


@pytest.mark.asyncio
async def test_a_big_file_is_never_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "big.bin"
    with path.open("wb") as file:
        file.truncate(BIG)
    answer = Download(path.open("rb"), as_attachment=True, filename="größe.bin")
    assert answer["Content-Length"] == str(BIG)
    assert "attachment" in answer["Content-Disposition"]
    tracemalloc.start()
    try:
        sizes = [len(piece) async for piece in answer]
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        answer.close()
    assert sum(sizes) == BIG
    assert max(sizes) <= PIECE_BYTES
    assert peak < 8 * PIECE_BYTES


@pytest.mark.asyncio
@pytest.mark.parametrize("size", [0, 10, PIECE_BYTES])
async def test_what_is_written_meanwhile_is_left_out(tmp_path: Path, size: int) -> None:
    path = tmp_path / "growing.log"
    path.write_bytes(b"a" * size)
    answer = Download(path.open("rb"))
    with path.open("ab") as file:
        file.write(b"b" * 10)
    whole = b"".join([piece async for piece in answer])
    answer.close()
    assert whole == b"a" * size
    assert answer["Content-Length"] == str(size)
