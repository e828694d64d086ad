"""How the parser says no, or not all, by a `code` for which `reading.told` has a sentence."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Partly:
    """Something of a document that is not read; `values` say how much of it, and which."""

    code: str
    values: dict[str, str | int]


class Refused(Exception):
    """The file is not taken."""

    def __init__(self, code: str, **values: str | int) -> None:
        super().__init__(code)
        self.code = code
        self.values = values
