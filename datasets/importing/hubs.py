"""Data sets on the Hugging Face hub and on ModelScope, over their plain HTTP interfaces."""

import re
from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from typing import Any
from urllib.parse import quote, urlsplit

from common.errors import DomainError
from common.phrases import gettext as _
from datasets.importing.listing import FILES_MAX, FOUND_MAX, Listed, Listing
from datasets.importing.web import Answered, Stream, opened

_REPOSITORY = re.compile(r"\w[\w.-]{0,95}(?:/\w[\w.-]{0,95})?", re.ASCII)
_REVISION = re.compile(r"[\w][\w./-]{0,99}", re.ASCII)
_PAGE = 500  # files that ModelScope lists at once

# The hubs' public names, their own first, and mirrors. What is configured instead knows the same
# data sets.
_PUBLIC = {
    "huggingface": ("huggingface.co", "www.huggingface.co", "hf.co", "hf-mirror.com"),
    "modelscope": ("modelscope.cn", "www.modelscope.cn"),
}


def repository_read(text: str, kind: str, endpoint: str) -> str:
    """`owner/name`, also from the address of its page on the public hub or the one at `endpoint`.

    DomainError for anything else.
    """
    text = text.strip()
    if "://" in text:
        text = "/".join(_path_at(text, kind, endpoint).removeprefix("datasets/").split("/")[:2])
    if not _REPOSITORY.fullmatch(text) or ".." in text:
        raise DomainError(
            _("Name the data set as its hub does: owner/name."), field="repository", code="name"
        )
    return text


def _path_at(address: str, kind: str, endpoint: str) -> str:
    """The path of a page of the hub. DomainError when the page is another server's."""
    hub = urlsplit(endpoint)
    with suppress(ValueError):
        asked = urlsplit(address)
        base, path = hub.path.strip("/"), asked.path.strip("/")
        if asked.scheme in {"http", "https"}:
            if endpoint and asked.netloc.lower() == hub.netloc.lower():
                if f"{path}/".startswith(f"{base}/" if base else ""):
                    return path.removeprefix(base).strip("/")
            elif asked.netloc.lower() in _PUBLIC[kind]:
                return path
    raise DomainError(
        _("Here data sets come from %(hub)s: give the address of a page there, or owner/name.")
        % {"hub": endpoint or _PUBLIC[kind][0]},
        field="repository",
        code="other_hub",
    )


def revision_read(text: str) -> str:
    """A branch, tag or commit; empty for the main one. DomainError for what is none."""
    text = text.strip()
    if text and (not _REVISION.fullmatch(text) or ".." in text):
        raise DomainError(
            _("A revision is a branch, a tag or a commit."), field="revision", code="revision"
        )
    return text


class HuggingFace:
    """A data set on the Hugging Face hub or a mirror of it."""

    def __init__(self, endpoint: str, repository: str, revision: str, token: str) -> None:
        self._endpoint = endpoint
        self._repository = repository
        self._revision = revision or "main"
        self._secret = {"Authorization": f"Bearer {token}"} if token else {}

    def listing(self) -> Listing:
        """The files of a revision, pinned to its commit. See `Place`."""
        where = f"{self._repository}/revision/{quote(self._revision, safe='')}"
        found = self._get(f"{self._endpoint}/api/datasets/{where}?blobs=true").json()
        if not isinstance(found, dict) or not isinstance(found.get("siblings"), list):
            raise _strange(self._endpoint)
        commit = str(found.get("sha") or self._revision)
        files = [
            Listed(
                path=str(one["rfilename"]),
                size=_size(one.get("size")),
                sha256=str((one.get("lfs") or {}).get("sha256") or ""),
                mark=commit,
            )
            for one in found["siblings"]
            if isinstance(one, dict) and one.get("rfilename")
        ]
        card = found.get("cardData")
        named = _configured(card.get("configs")) if isinstance(card, dict) else []
        return Listing(files, commit, named)

    def stream(self, file: Listed, start: int) -> Stream:
        """See `Place`."""
        where = f"{self._repository}/resolve/{quote(file.mark or self._revision, safe='')}"
        return self._get(f"{self._endpoint}/datasets/{where}/{quote(file.path)}", start)

    def _get(self, url: str, start: int = 0) -> Stream:
        try:
            return opened(url, trusted=True, secret=self._secret, start=start)
        except Answered as answer:
            raise refused(answer, self._repository, self._endpoint) from None


class ModelScope:
    """A data set on ModelScope."""

    def __init__(self, endpoint: str, repository: str, revision: str, token: str) -> None:
        self._endpoint = endpoint
        self._repository = repository
        self._revision = revision or "master"
        # Its own client sends an access token as a cookie, newer servers take both.
        self._secret = (
            {"Authorization": f"Bearer {token}", "Cookie": f"m_session_id={token}"} if token else {}
        )

    def listing(self) -> Listing:
        """The files of a branch or tag; commits cannot be named. See `Place`."""
        files: list[Listed] = []
        for page in count(1):
            found = self._page(page)
            if found and (page - 1) * _PAGE >= FOUND_MAX:
                raise _too_many(self._repository)
            files += [
                Listed(
                    path=str(one["Path"]),
                    size=_size(one.get("Size")),
                    sha256=str(one.get("Sha256") or ""),
                )
                for one in found
                if isinstance(one, dict) and one.get("Path") and one.get("Type") != "tree"
            ]
            if len(found) < _PAGE:
                break
        return Listing(files, self._revision)

    def _page(self, page: int) -> list[Any]:
        query = f"Revision={quote(self._revision, safe='')}&Recursive=true&Root="
        url = f"{self._base}/tree?{query}&PageNumber={page}&PageSize={_PAGE}"
        found = self._get(url).json()
        data = found.get("Data") if isinstance(found, dict) else None
        files = data.get("Files") if isinstance(data, dict) else None
        if not isinstance(files, list):
            raise _strange(self._endpoint)
        return files

    def stream(self, file: Listed, start: int) -> Stream:
        """See `Place`."""
        query = f"Revision={quote(self._revision, safe='')}&FilePath={quote(file.path, safe='')}"
        return self._get(f"{self._base}?{query}", start)

    @property
    def _base(self) -> str:
        return f"{self._endpoint}/api/v1/datasets/{self._repository}/repo"

    def _get(self, url: str, start: int = 0) -> Stream:
        try:
            return opened(url, trusted=True, secret=self._secret, start=start)
        except Answered as answer:
            raise refused(answer, self._repository, self._endpoint) from None


def _too_many(repository: str) -> DomainError:
    return DomainError(
        _(
            "“%(name)s” has more than %(limit)s files, which are too many to list. Download those"
            " that you need, and upload them."
        )
        % {"name": repository, "limit": FOUND_MAX},
        field="repository",
        code="too_many_files",
    )


def _size(given: Any) -> int | None:
    return given if isinstance(given, int) and given >= 0 else None


def _configured(configs: Any) -> list[tuple[str, list[str]]]:
    """Subsets and parts that a data set's card names, with the patterns of their files."""
    found: list[tuple[str, list[str]]] = []
    for config in configs if isinstance(configs, list) else []:
        if not isinstance(config, dict):
            continue
        name = str(config.get("config_name") or "default")
        data = config.get("data_files")
        loose: list[str] = []
        for entry in data if isinstance(data, list) else [data]:
            if isinstance(entry, str):
                loose.append(entry)
            elif isinstance(entry, Mapping) and "path" in entry:
                path = entry["path"]
                paths = [str(one) for one in (path if isinstance(path, list) else [path])]
                found.append((f"{name} / {entry.get('split') or 'train'}", paths))
        if loose:
            found.append((f"{name} / train", loose))
    return found[:FILES_MAX]


def _strange(endpoint: str) -> DomainError:
    return DomainError(
        _("%(host)s does not answer as it should. Is its address right?")
        % {"host": urlsplit(endpoint).hostname},
        code="not_understood",
    )


def refused(answer: Answered, name: str, endpoint: str) -> DomainError:
    """What a hub's refusal means for the person who asked."""
    values = {"name": name, "host": urlsplit(endpoint).hostname, "status": answer.status}
    word = answer.headers.get("X-Error-Code", "")
    if word == "GatedRepo" or answer.status == 403:
        return DomainError(
            _(
                "“%(name)s” is open to some people only. Ask for access on %(host)s, then give a"
                " token of yours here."
            )
            % values,
            field="token",
            code="forbidden",
        )
    if word == "RevisionNotFound":
        return DomainError(
            _("“%(name)s” has no such revision. Leave it empty for the main one.") % values,
            field="revision",
            code="not_found",
        )
    if answer.status == 401:
        return DomainError(
            _(
                "%(host)s wants to know who asks for “%(name)s”: it is private, or there is no such"
                " data set. Check the name, and give a token that may read it."
            )
            % values,
            field="token",
            code="unauthorized",
        )
    if answer.status == 404:
        return DomainError(
            _("There is no “%(name)s” on %(host)s. Check the name; private ones need a token.")
            % values,
            field="repository",
            code="not_found",
        )
    return DomainError(
        _("%(host)s refuses “%(name)s” (status %(status)s).") % values, code="refused_there"
    )
