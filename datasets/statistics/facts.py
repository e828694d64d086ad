"""A few bytes about each row, beside the rows, so that millions are filtered and sorted at once.

`facts.bin` holds a record of `RECORD` for every line of `rows.jsonl`; `order.bin` the numbers of
the rows, shortest first, those that are dropped at the end.
"""

from array import array
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FACTS, ORDER = "facts.bin", "order.bin"
RECORD = [("length", "<u4"), ("turns", "<u2"), ("language", "u1"), ("flags", "u1")]
# Flags of a row. LOOKED: it was among those that language and personal data were looked for in.
# ESTIMATED: its length was not counted. UNUSUAL: see `outliers`.
DROPPED, WARNED, DUPLICATE, NEAR, PERSONAL, LOOKED, ESTIMATED, UNUSUAL = (
    1 << bit for bit in range(8)
)
_PARTS = 16  # keys are sorted in so many parts, so that sorting takes little memory


class Facts:
    """Facts of rows while they are counted: some 28 bytes a row."""

    def __init__(self) -> None:
        self.characters, self.turns = array("I"), array("H")
        self.keys = array("Q")
        self.flags, self.languages = bytearray(), bytearray()
        self.counted = array("I")  # length in tokens, 0 where it was not counted
        self.symbols = array("f")  # share of signs, 0 where the row is dropped

    def add(
        self, *, characters: int, turns: int, key: bytes, flags: int, tokens: int, symbols: float
    ) -> None:
        """The next row."""
        self.characters.append(min(characters, 2**32 - 1))
        self.turns.append(min(turns, 2**16 - 1))
        self.keys.append(int.from_bytes(key[:8], "little"))
        self.flags.append(flags)
        self.languages.append(0)
        self.counted.append(tokens)
        self.symbols.append(symbols)

    def __len__(self) -> int:
        return len(self.flags)

    def table(self) -> "NDArray[Any]":
        """All rows as records, with exact duplicates flagged and missing lengths estimated.

        Lengths are tokens when any were counted: the others are estimated from the characters.
        Without a tokenizer they are characters.
        """
        import numpy as np

        table = np.zeros(len(self), dtype=RECORD)
        flags = np.frombuffer(self.flags, dtype=np.uint8) | _repeated(self.keys)
        characters = np.frombuffer(self.characters, dtype=np.uint32)
        counted = np.frombuffer(self.counted, dtype=np.uint32)
        known = counted > 0
        if known.any():
            ratio = counted[known].sum(dtype=np.float64) / max(
                characters[known].sum(dtype=np.float64), 1
            )
            guessed = np.rint(characters * ratio).astype(np.uint32)
            table["length"] = np.where(known, counted, guessed)
            unknown = ~known & (flags & DROPPED == 0)
            flags[unknown] |= np.uint8(ESTIMATED)
        else:
            table["length"] = characters
        table["turns"] = np.frombuffer(self.turns, dtype=np.uint16)
        table["language"] = np.frombuffer(self.languages, dtype=np.uint8)
        table["flags"] = flags
        return table


def _repeated(keys: "array[int]") -> "NDArray[np.uint8]":
    """`DUPLICATE` for each row whose key an earlier one has."""
    import numpy as np

    numbers = np.frombuffer(keys, dtype=np.uint64)
    found = np.zeros(len(numbers), dtype=np.uint8)
    part_of = (numbers % np.uint64(_PARTS)).astype(np.uint8)
    for part in range(_PARTS):
        places = np.flatnonzero(part_of == part)
        order = places[np.argsort(numbers[places], kind="stable")]
        ordered = numbers[order]
        found[order[1:][ordered[1:] == ordered[:-1]]] = DUPLICATE
    return found


def facts_write(table: "NDArray[Any]", directory: Path, earlier: Path) -> "NDArray[np.uint32]":
    """Writes both files; the usable rows, shortest first. Near duplicates that an `earlier` count
    of the same rows has found stay marked.
    """
    import numpy as np

    if len(table) and (earlier / FACTS).exists():
        table["flags"] |= np.memmap(earlier / FACTS, dtype=RECORD, mode="r")["flags"] & NEAR
    (directory / FACTS).write_bytes(table.data)  # `tofile` is silent about a full disk
    dropped = table["flags"] & DROPPED > 0
    order = np.lexsort((table["length"], dropped)).astype(np.uint32)
    (directory / ORDER).write_bytes(order.data)
    usable: NDArray[np.uint32] = order[: len(order) - int(dropped.sum())]
    return usable
