"""What a place holds, and which of its files belong together."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from os.path import commonprefix
from pathlib import PurePosixPath
from typing import Any, BinaryIO, Protocol

from common.errors import DomainError
from common.phrases import gettext as _
from datasets.reading.kinds import ARCHIVES, BOOKS, COLUMNS, KINDS, ROWS

FILES_MAX = 1000  # of one import
FOUND_MAX = 20_000  # that a place may list
OFFERS_MAX = 100  # more cannot be chosen from
REST = "*"  # the name of an offer of files that no folder and no part sets apart
_TABLES = ROWS | COLUMNS | BOOKS
# Descriptions that hubs and people keep beside data.
_ABOUT = re.compile(
    r"(readme|licen[sc]e|copying|notice|changelog|contributing|citation)(\..*)?"
    r"|dataset_infos?\.json|config(uration)?\.json|state\.json|\..*",
    re.IGNORECASE,
)
_PARTS = {
    "train": "train", "training": "train", "test": "test", "testing": "test",
    "valid": "validation", "validation": "validation", "val": "validation", "dev": "validation",
    "eval": "validation",
}  # fmt: skip
_PART = re.compile(rf"(?:^|[-_./])({'|'.join(_PARTS)})(?=[-_./\d]|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Listed:
    """A file of the place: its size in bytes where it is known, its SHA-256, the place's mark."""

    path: str
    size: int | None = None
    sha256: str = ""
    mark: str = ""

    def stored(self) -> dict[str, Any]:
        """As JSON can hold it; `Listed(**stored)` gives it back."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Offer:
    """Files that belong together, under a name to choose them by."""

    name: str
    files: tuple[Listed, ...]

    @property
    def bytes(self) -> int:
        """Of all its files, as far as their sizes are known."""
        return sum(file.size or 0 for file in self.files)


@dataclass(frozen=True, slots=True)
class Listing:
    """All data of a place at one moment; `revision` names the moment where the place can."""

    files: list[Listed]
    revision: str = ""
    # Subsets and parts that the place itself names, with patterns of their files.
    named: list[tuple[str, list[str]]] = field(default_factory=list)


class Stream(Protocol):
    """A file's bytes from `start` on; `total` is its size where that is known."""

    start: int
    total: int | None

    def into(self, sink: BinaryIO) -> Iterator[None]:
        """Writes them at the end of the open file, which lies at `start`; stops between pieces."""


class Place(Protocol):
    """Somewhere that files are fetched from."""

    def listing(self) -> Listing:
        """What it holds. `DomainError` says why that cannot be known, `Broken` may pass."""

    def stream(self, file: Listed, start: int) -> Stream:
        """The file's bytes from `start` on, or from the beginning. As `listing`."""


def data_files(files: Iterable[Listed]) -> list[Listed]:
    """The tables among the files; where there is none, everything else that can be read."""
    known = [
        file
        for file in files
        if not any(_ABOUT.fullmatch(part) for part in PurePosixPath(file.path).parts)
        and _kind(file.path)
    ]
    tables = [file for file in known if _kind(file.path) in _TABLES]
    return sorted(tables or known, key=lambda file: file.path)


def _kind(path: str) -> str:
    """By the name; of a compressed file the kind of what is in it, where the name tells."""
    name = PurePosixPath(path.lower())
    kind = KINDS.get(name.suffix, "")
    return KINDS.get(PurePosixPath(name.stem).suffix, kind) if kind in ARCHIVES else kind


def offers(listing: Listing) -> list[Offer]:
    """What may be chosen: what the place names, else the data files by folder and part."""
    named = [
        Offer(name, tuple(found))
        for name, patterns in listing.named
        if (found := _matching(listing.files, patterns, _fits_in_folders))
    ]
    return named or _guessed(data_files(listing.files))


def _guessed(files: Sequence[Listed]) -> list[Offer]:
    groups: dict[tuple[str, str], list[Listed]] = defaultdict(list)
    for file in files:
        groups[_group(file.path)].append(file)
    if len(groups) > OFFERS_MAX:
        return [Offer(REST, tuple(files))]
    shared = len({folder for folder, _part in groups}) == 1
    return [
        Offer(_offer_name("" if shared else folder, part), tuple(found))
        for (folder, part), found in sorted(groups.items())
    ]


def _group(path: str) -> tuple[str, str]:
    """The folder of a file and the part (train, test, …) that its name or its folder tells."""
    whole = PurePosixPath(path)
    folder = str(whole.parent)
    for text in (whole.name, folder):
        if found := _PART.search(text):
            part = _PARTS[found.group(1).lower()]
            return (folder, part)
    return (folder, "")


def _offer_name(folder: str, part: str) -> str:
    return " / ".join(word for word in ("" if folder == "." else folder, part) if word) or REST


def _matching(
    files: Iterable[Listed], patterns: Iterable[str], fits: Callable[[str, str], bool]
) -> list[Listed]:
    wanted = [pattern.removeprefix("./") for pattern in patterns]
    found = (file for file in files if any(fits(file.path, one) for one in wanted))
    return sorted(found, key=lambda file: file.path)


def _fits_in_folders(path: str, pattern: str) -> bool:
    """As hubs mean it: `*` stays within a folder, and `**` stands for any folders, or none."""
    words = pattern.split("/")
    words += ["*"] if words[-1] == "**" else []
    reached = {0}  # how many words the folders so far may have used up
    for part in path.split("/"):
        for place, word in enumerate(words):
            if place in reached and word == "**":
                reached.add(place + 1)
        reached = {
            place + (word != "**")
            for place, word in enumerate(words)
            if place in reached and (word == "**" or fnmatchcase(part, word))
        }
    return len(words) in reached


def fixed_start(patterns: Iterable[str]) -> str:
    """What the paths of all files that fit one of the patterns begin with."""
    starts = [re.split(r"[*?[]", one.removeprefix("./"))[0] for one in patterns]
    return commonprefix(starts)  # noqa: RUF071  stores compare letters, not folders


def by_patterns(listing: Listing, patterns: Sequence[str]) -> list[Listed]:
    """The files that the person's patterns name, in which `*` crosses folders, too.

    DomainError when there is none.
    """
    found = _matching(listing.files, patterns, fnmatchcase)
    if not found:
        some = ", ".join(file.path for file in data_files(listing.files)[:5]) or "–"
        raise DomainError(
            _("No file there fits %(patterns)s. There are for example: %(names)s.")
            % {"patterns": ", ".join(patterns), "names": some},
            field="files",
            code="no_files",
        )
    return found
