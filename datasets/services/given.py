"""What people hand over, as one uploaded file: a file, several files, or rows that they typed."""

import re
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import PurePosixPath

from common.errors import DomainError
from common.phrases import gettext as _
from datasets.services.files import Uploaded, zipped


def given_as_one(
    files: Sequence[Uploaded], *, paths: Sequence[str] = (), text: str = ""
) -> Uploaded:
    """The file, an archive of several ones, or pasted rows. DomainError when there is nothing, or
    files and pasted rows at once.

    `paths` are the places of the files in the folder that was chosen; left out, their names count.
    """
    if bool(files) == bool(text.strip()):
        raise DomainError(
            _("Choose a file, or paste rows; one of the two."), field="file", code="nothing_given"
        )
    if not files:
        return _Pasted(text)
    if len(files) == 1:
        return files[0]
    names = list(paths)
    if len(paths) != len(files):
        names = [str(getattr(file, "path", file.name)) for file in files]
    return _Bundle(files, names)


class _Pasted:
    """Typed rows: JSON and JSON lines begin with a bracket, everything else is a table."""

    def __init__(self, text: str) -> None:
        ending = {"[": "json", "{": "jsonl"}.get(text.lstrip()[0], "csv")
        self.name: str | None = f"{_('pasted rows')}.{ending}"
        self._data = text.lstrip().encode()
        self.size: int | None = len(self._data)

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """The text in UTF-8."""
        return iter(BytesIO(self._data))


class _Bundle:
    """Several files as one archive; `parts` are its files under their names in it."""

    def __init__(self, files: Sequence[Uploaded], paths: Sequence[str]) -> None:
        used: set[str] = set()
        self.parts = [(_unused(path, used), file) for path, file in zip(paths, files, strict=True)]
        folders = {path.split("/")[0] if "/" in path else "" for path in paths}
        folder = folders.pop() if len(folders) == 1 else ""
        self.name: str | None = f"{folder or PurePosixPath(paths[0]).stem}.zip"
        self.size: int | None = sum(file.size or 0 for file in files)
        self.spends = tuple(one for file in files for one in getattr(file, "spends", ()))

    def chunks(self, chunk_size: int | None = None) -> Iterator[bytes]:
        """The archive."""
        return zipped(self.parts)


def _unused(path: str, used: set[str]) -> str:
    """The path, with a number where another file has it; `used` learns it."""
    whole = PurePosixPath(re.sub(r"^[/\\]+", "", path) or "file")
    found, number = whole, 1
    while str(found) in used:
        number += 1
        found = whole.with_name(f"{whole.stem} ({number}){whole.suffix}")
    used.add(str(found))
    return str(found)
