"""Documents that are zip files inside: looked at before anything of them is unpacked."""

import zipfile
from pathlib import Path

from datasets.parsing.refusals import Refused

UNPACKED_MAX = 512 * 2**20  # bytes of all parts of one document
PARTS_MAX = 10_000


def packed_open(source: Path) -> zipfile.ZipFile:
    """The open file. `Refused` when it is damaged, locked, or would unpack to too much.

    Python's reader never gives more bytes of a part than are announced, so these can be trusted.
    """
    try:
        packed = zipfile.ZipFile(source)
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise Refused("damaged", reason=str(error)) from error
    parts = packed.infolist()
    if len(parts) > PARTS_MAX:
        raise Refused("too_many_files", limit=PARTS_MAX)
    if sum(part.file_size for part in parts) > UNPACKED_MAX:
        raise Refused("bomb", limit=UNPACKED_MAX >> 20)
    if any(part.flag_bits & 1 for part in parts):
        raise Refused("encrypted")
    return packed
