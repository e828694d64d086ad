"""Objects in an S3-compatible store: links are signed here, and read as any other address.

So a store that a person names is reached by the same checked connection as every outside address.
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import unquote_plus, urlsplit

from common.errors import DomainError
from common.phrases import gettext as _
from common.texts import whole
from datasets.importing.listing import FOUND_MAX, Listed, Listing, fixed_start
from datasets.importing.web import Answered, Stream, opened
from datasets.parsing.names import is_showable

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,62}")
_PAGES_MAX = 1000  # also of a store whose pages are small, or never end
_SECONDS = 3600  # that a link is good for
_ADDRESS = re.compile(r"(s3|oss|cos|obs|tos)://([^/]+)/?(.*)", re.DOTALL)
# Addresses as stores have them that are not Amazon's, by how their paths begin.
_EXAMPLES = {
    "oss": "https://oss-cn-hangzhou.aliyuncs.com",
    "cos": "https://cos.ap-guangzhou.myqcloud.com",
    "obs": "https://obs.cn-north-4.myhuaweicloud.com",
    "tos": "https://tos-s3-cn-beijing.volces.com",
}
# Stores that want the bucket's name in the host's.
_BY_HOST = ("amazonaws.com", "aliyuncs.com", "myqcloud.com", "myhuaweicloud.com", "volces.com")


def address_read(text: str) -> tuple[str, str]:
    """Bucket and prefix of `s3://bucket/prefix` or `oss://bucket/prefix`; DomainError else."""
    found = _ADDRESS.fullmatch(text.strip())
    if (
        found is None
        or not _BUCKET.fullmatch(found.group(2))
        or not is_showable(found.group(3))
        or len(text) > 1000
    ):
        raise DomainError(
            _("Write the path as s3://bucket/folder or s3://bucket/folder/file."),
            field="path",
            code="path",
        )
    return found.group(2), found.group(3)


def endpoint_of(endpoint: str, region: str, address: str) -> str:
    """The store's address; Amazon's where `s3://` comes without one.

    DomainError for other stores': their keys are nothing that Amazon should get.
    """
    scheme = address.strip().partition("://")[0]
    if not endpoint and scheme in _EXAMPLES:
        raise DomainError(
            _("%(scheme)s:// does not say where the store is. Give its endpoint, as %(example)s.")
            % {"scheme": scheme, "example": _EXAMPLES[scheme]},
            field="endpoint",
            code="endpoint",
        )
    return endpoint.rstrip("/") or f"https://s3.{region}.amazonaws.com"


class Objects:
    """All objects below a prefix, or those of them that the patterns may mean.

    `trusted` says that the operator chose the address.
    """

    def __init__(
        self,
        endpoint: str,
        region: str,
        address: str,
        keys: tuple[str, str] | None,
        *,
        trusted: bool,
        patterns: Sequence[str] = (),
    ) -> None:
        self._bucket, self._prefix = address_read(address)
        self._host = urlsplit(endpoint).hostname or ""
        self._trusted = trusted
        self._fixed = fixed_start(patterns)
        self._client = _signer(endpoint, region, keys)

    def listing(self) -> Listing:
        """The objects by their names after the prefix's folder. See `Place`."""
        files: list[Listed] = []
        wanted = self._folder + self._fixed
        prefix = wanted if wanted.startswith(self._prefix) else self._prefix
        for number, page in enumerate(self._pages(prefix)):
            files += page
            if len(files) > FOUND_MAX or number == _PAGES_MAX:
                raise _too_many()
        # Where nothing fits, some of what there is goes into the sentence that says so.
        files = files or next(self._pages(self._prefix))
        return Listing([file for file in files if not file.path.endswith("/")])

    def _pages(self, prefix: str) -> Iterator[list[Listed]]:
        parameters: dict[str, Any] = {"Bucket": self._bucket, "Prefix": prefix}
        while True:
            found = _parsed(self._get("list_objects_v2", parameters).text(), self._host)
            read = unquote_plus if found.findtext("{*}EncodingType") == "url" else str
            yield [self._listed(one, read) for one in found.findall("{*}Contents")]
            more = found.findtext("{*}NextContinuationToken")
            if not more:
                return
            parameters["ContinuationToken"] = more

    def _listed(self, one: ET.Element, read: Callable[[str], str]) -> Listed:
        return Listed(
            read(one.findtext("{*}Key") or "").removeprefix(self._folder),
            whole(one.findtext("{*}Size") or "", 18),
            mark=one.findtext("{*}ETag") or "",
        )

    @property
    def _folder(self) -> str:
        """What the names of all objects begin with that is of no interest."""
        return self._prefix[: self._prefix.rfind("/") + 1]

    def stream(self, file: Listed, start: int) -> Stream:
        """See `Place`. An object that was replaced meanwhile is refused."""
        wanted = {"Bucket": self._bucket, "Key": self._folder + file.path}
        return self._get("get_object", wanted, start, {"If-Match": file.mark} if file.mark else {})

    def _get(
        self, what: str, parameters: dict[str, Any], start: int = 0, headers: Any = None
    ) -> Stream:
        url = self._client.generate_presigned_url(what, parameters, ExpiresIn=_SECONDS)
        try:
            return opened(url, trusted=self._trusted, headers=headers, start=start)
        except Answered as answer:
            raise self._refused(answer.status) from None

    def _refused(self, status: int) -> DomainError:
        values = {"host": self._host, "bucket": self._bucket, "status": status}
        if status in {401, 403}:
            return DomainError(
                _(
                    "%(host)s does not let these keys read the bucket “%(bucket)s”. Check keys,"
                    " region and path."
                )
                % values,
                field="access_key",
                code="forbidden",
            )
        if status == 404:
            return DomainError(
                _("%(host)s has no bucket “%(bucket)s”, or no such object in it.") % values,
                field="path",
                code="not_found",
            )
        if status == 412:
            return DomainError(
                _("An object in “%(bucket)s” changed while it was fetched. Import it again.")
                % values,
                code="changed",
            )
        if status in {301, 307, 400}:
            return DomainError(
                _(
                    "%(host)s does not take the request for “%(bucket)s” (status %(status)s)."
                    " Usually the region or the endpoint is wrong."
                )
                % values,
                field="region",
                code="region",
            )
        return DomainError(
            _("%(host)s refuses “%(name)s” (status %(status)s).")
            % {**values, "name": self._bucket},
            code="refused_there",
        )


def _signer(endpoint: str, region: str, keys: tuple[str, str] | None) -> Any:
    """What signs links; it connects to nothing."""
    import boto3  # heavy: only the process that fetches needs it
    from botocore import UNSIGNED
    from botocore.config import Config

    host = urlsplit(endpoint).hostname or ""
    by_host = host.endswith(_BY_HOST)
    access, secret = keys or (None, None)
    try:
        return boto3.session.Session(aws_access_key_id=access, aws_secret_access_key=secret).client(
            "s3",
            endpoint_url=endpoint,
            region_name=region,
            config=Config(
                signature_version="s3v4" if keys else UNSIGNED,
                s3={"addressing_style": "virtual" if by_host else "path"},
            ),
        )
    except ValueError as error:
        raise DomainError(
            _("An address begins with https:// or http:// and names a host, nothing else."),
            field="endpoint",
            code="address",
        ) from error


def _too_many() -> DomainError:
    return DomainError(
        _(
            "There are more than %(limit)s objects. Name a longer path, or let all patterns begin"
            " with the same folder."
        )
        % {"limit": FOUND_MAX},
        field="path",
        code="too_many_files",
    )


def _parsed(text: bytes, host: str) -> ET.Element:
    # No document type, so no entities that could grow.
    if b"<!DOCTYPE" not in text:
        try:
            return ET.fromstring(text)  # noqa: S314
        except ET.ParseError:
            pass
    raise DomainError(
        _("%(host)s does not answer as it should. Is its address right?") % {"host": host},
        code="not_understood",
    )
