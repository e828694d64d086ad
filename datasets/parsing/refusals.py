"""How the parser says no, or not all."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Partly:
    """A document whose pages are not all read: how many are not, of how many, and which."""

    count: int
    pages: int
    places: str  # the first of their numbers


class Refused(Exception):
    """The file is not taken. `code` stands for a sentence that `reading.foreign` has."""

    def __init__(self, code: str, **values: str | int) -> None:
        super().__init__(code)
        self.code = code
        self.values = values
