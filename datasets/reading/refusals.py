"""How a file is refused: what, where, and what to do."""

from common.errors import DomainError
from common.phrases import gettext as _


class BadFile(DomainError):
    """An uploaded file that cannot be read. `data` says where: line, column, offset."""

    def __init__(
        self,
        message: str,
        *,
        code: str,
        line: int | None = None,
        column: int | None = None,
        offset: int | None = None,
    ) -> None:
        places = {"line": line, "column": column, "offset": offset}
        super().__init__(
            message,
            field="file",
            code=code,
            data={name: value for name, value in places.items() if value is not None},
        )

    def bare(self) -> "BadFile":
        """The same to keep: what was raised holds the line itself, by its cause and its frames."""
        kept = BadFile(self.message, code=self.code)
        kept.data = self.data
        return kept


class NotRead(BadFile):
    """A file that was not read to its end for a reason that says nothing about it: the machine had
    no time, memory or room. Another try may succeed.
    """


def empty_file() -> BadFile:
    """The refusal of a file without a sign."""
    return BadFile(_("The file is empty. Upload the one with the data."), code="empty")
