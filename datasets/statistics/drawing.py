"""Which rows of a big version are looked at."""

_SPREADING = 0x9E3779B1  # multiples of it fall evenly, and in no step with how a file is ordered


def drawn(count: int, share: float) -> range | list[int]:
    """Numbers of rows, from 0: all of them from a share of 1 on, else so many drawn evenly."""
    if share >= 1:
        return range(count)
    limit = int(2**32 * share)
    return [number for number in range(count) if number * _SPREADING % 2**32 < limit]
