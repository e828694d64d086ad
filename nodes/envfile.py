"""The file that holds a node's settings: secrets among them, so only its owner may read it.

It is read by systemd (`EnvironmentFile=`) and by `manage.py node_run`; each line is NAME="value".
"""

import os
import re
import socket
import tempfile
from collections.abc import Mapping
from pathlib import Path

from django.conf import settings

_LINE = re.compile(r'([A-Z][A-Z0-9_]*)="((?:[^"\\]|\\.)*)"')
_SPECIAL = re.compile(r'(["\\$`])')


def env_path() -> Path:
    """Where it lies: with this machine's name, because machines may share TRAINER_HOME."""
    return Path(settings.TRAINER_HOME) / f"node-{socket.gethostname()}.env"


def env_write(path: Path, values: Mapping[str, str]) -> None:
    """Writes it as a whole, readable by its owner only. Raises ValueError for a line break."""
    lines = []
    for name, value in sorted(values.items()):
        if not name.isidentifier() or any(sign in value for sign in "\n\r\x00"):
            raise ValueError(name)
        escaped = _SPECIAL.sub(r"\\\1", value)
        lines.append(f'{name}="{escaped}"\n')
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # 0600
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())
    Path(draft).replace(path)


def env_read(path: Path) -> dict[str, str]:
    """What it holds. Raises OSError, and ValueError for a line that is no setting."""
    values = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _LINE.fullmatch(line.strip())
        if found is None:
            raise ValueError(f"{path}, line {number}")
        values[found.group(1)] = re.sub(r"\\(.)", r"\1", found.group(2))
    return values
