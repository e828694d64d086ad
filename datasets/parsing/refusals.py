"""How the parser says no."""


class Refused(Exception):
    """The file is not taken. `code` stands for a sentence that `reading.foreign` has."""

    def __init__(self, code: str, **values: str | int) -> None:
        super().__init__(code)
        self.code = code
        self.values = values
