"""What share of a text repeats, and what share is neither letters nor digits."""

import regex

LOOKED_AT = 100_000  # characters of a text
SHINGLE = 10  # characters; what occurs again in this length counts as repeated
_SHORT = 100  # characters; up to there a set is quicker than numbers
_BASE = 0x9E3779B97F4A7C15
_SIGNS = regex.compile(r"[^\p{L}\p{M}\p{N}]")
_SPACES = bytes(code for code in range(128) if chr(code).isspace())
_LETTERS = bytes(code for code in range(128) if chr(code).isalnum())


def repetition(text: str) -> float:
    """The share of stretches of ten characters that occurred before, 0 to 1."""
    text = text[:LOOKED_AT]
    count = len(text) - SHINGLE + 1
    if count < 2:
        return 0.0
    if count <= _SHORT:
        return 1 - len({text[place : place + SHINGLE] for place in range(count)}) / count
    return 1 - _kinds(text) / count


def _kinds(text: str) -> int:
    """How many different stretches there are, by numbers of 64 bit for each of them."""
    import numpy as np  # here, so that pages need not carry it

    signs = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    found = [signs.astype(np.uint64)]  # of stretches of one sign, then of two, four and eight
    for width in (1, 2, 4):
        wider = found[-1][:-width] * np.uint64(pow(_BASE, width, 2**64))
        wider += found[-1][width:]
        found.append(wider)
    tens = found[3][:-2] * np.uint64(pow(_BASE, 2, 2**64))
    tens += found[1][8:]
    tens.sort()
    return 1 + int(np.count_nonzero(tens[1:] != tens[:-1]))


def symbols(text: str) -> float:
    """The share of signs that are neither letters nor digits among all but white space, 0 to 1."""
    text = text[:LOOKED_AT]
    if text.isascii():  # a third of the time
        plain = text.encode().translate(None, _SPACES)
        return len(plain.translate(None, _LETTERS)) / len(plain) if plain else 0.0
    signs = "".join(text.split())
    return len(_SIGNS.findall(signs)) / len(signs) if signs else 0.0
