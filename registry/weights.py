"""Files of weights: what lies in a directory, how large it is, and whether it is safe to load.

Only headers are read: a directory of any size is looked at in milliseconds.
"""

import json
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import DomainError
from common.phrases import gettext as _

HEADER_MAX_BYTES = 100 * 2**20
CONFIG_MAX_BYTES = 8 * 2**20
PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".npy", ".npz"}
CODE = {".py", ".pyc", ".so", ".sh"}
TOKENIZERS: tuple[tuple[str, ...], ...] = (
    ("tokenizer.json",),
    ("tokenizer.model",),
    ("vocab.json", "merges.txt"),
)


class BadWeights(DomainError):
    """The files cannot be used as a model, and why."""

    code = "bad_weights"


@dataclass(frozen=True)
class Weights:
    """What a directory of weights holds."""

    parameters: int
    bytes: int
    architecture: str


def walk(directory: Path) -> Iterator[Path]:
    """Files of the weights; a training's checkpoints belong to its job and are left out."""
    for path in sorted(directory.iterdir()):
        if path.is_symlink():
            continue
        if path.is_dir():
            if not path.name.startswith("checkpoint-"):
                yield from walk(path)
        elif path.is_file():
            yield path


def files_of(directory: Path) -> list[tuple[str, int]]:
    """Name below the directory and size in bytes of each file, by name."""
    return [
        (path.relative_to(directory).as_posix(), path.stat().st_size) for path in walk(directory)
    ]


def size_of(directory: Path) -> int:
    """Bytes of all files."""
    return sum(path.stat().st_size for path in walk(directory))


def header(path: Path) -> dict[str, Any]:
    """The tensors that a safetensors file declares; `BadWeights` where the file is not whole."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 0 < length <= min(HEADER_MAX_BYTES, size - 8):
            raise BadWeights(_("%(file)s is not a safetensors file.") % {"file": path.name})
        try:
            entries = json.loads(file.read(length))
        except (ValueError, RecursionError) as error:
            raise BadWeights(
                _("%(file)s has a header that cannot be read.") % {"file": path.name}
            ) from error
    tensors = {name: entry for name, entry in entries.items() if name != "__metadata__"}
    end = max((entry["data_offsets"][1] for entry in tensors.values()), default=0)
    if 8 + length + end != size:
        raise BadWeights(
            _("%(file)s is cut off or has grown: it declares %(wanted)s bytes and has %(found)s.")
            % {"file": path.name, "wanted": 8 + length + end, "found": size}
        )
    return tensors


def parameters_of(directory: Path) -> int:
    """Number of values in all tensors of the safetensors files on the first level."""
    return sum(
        math.prod(entry["shape"])
        for path in sorted(directory.glob("*.safetensors"))
        for entry in header(path).values()
    )


def read_json(path: Path) -> dict[str, object]:
    """A JSON object of a few megabytes at most; `BadWeights` for anything else."""
    if not path.is_file() or path.stat().st_size > CONFIG_MAX_BYTES:
        raise BadWeights(_("%(file)s is missing or too large.") % {"file": path.name})
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise BadWeights(_("%(file)s is not valid JSON.") % {"file": path.name}) from error
    if not isinstance(found, dict):
        raise BadWeights(_("%(file)s has to hold an object.") % {"file": path.name})
    return found


def inspect(directory: Path) -> Weights:
    """Checks that a directory is a model that the engine loads without running foreign code.

    Raises `BadWeights` with the reason: links, code, pickles, a missing configuration, tokenizer
    or part of the weights, a file that is cut off.
    """
    _refuse_unsafe(directory)
    config = read_json(directory / "config.json")
    if "auto_map" in config:
        raise BadWeights(
            _("config.json asks for code of the model's own (auto_map), which is never run here.")
        )
    if not any(all((directory / name).is_file() for name in names) for names in TOKENIZERS):
        raise BadWeights(_("There is no tokenizer: tokenizer.json or tokenizer.model."))
    _refuse_missing_parts(directory)
    architectures = config.get("architectures")
    named = architectures[0] if isinstance(architectures, list) and architectures else ""
    return Weights(
        parameters=parameters_of(directory),
        bytes=size_of(directory),
        architecture=str(named or config.get("model_type") or ""),
    )


def _refuse_unsafe(directory: Path) -> None:
    if directory.is_symlink() or not directory.is_dir():
        raise BadWeights(_("%(name)s is not a directory.") % {"name": directory.name})
    for path in directory.rglob("*"):
        facts = {"file": path.relative_to(directory).as_posix()}
        if path.is_symlink():
            raise BadWeights(_("%(file)s is a link; put the file itself here.") % facts)
        if not path.is_file() and not path.is_dir():
            raise BadWeights(_("%(file)s is not a plain file.") % facts)
        if path.suffix.lower() in CODE:
            raise BadWeights(
                _("%(file)s is code; a model that needs code of its own is not loaded.") % facts
            )
        if path.suffix.lower() in PICKLES:
            raise BadWeights(
                _(
                    "%(file)s is a pickle, which can run code when it is opened."
                    " Convert the weights to safetensors and remove it."
                )
                % facts
            )


def _refuse_missing_parts(directory: Path) -> None:
    index = directory / "model.safetensors.index.json"
    if index.exists():
        mapping = read_json(index).get("weight_map")
        parts = {str(part) for part in mapping.values()} if isinstance(mapping, dict) else set()
        missing = sorted(part for part in parts if not (directory / part).is_file())
        if missing or not parts:
            raise BadWeights(
                _("Parts of the weights are missing: %(files)s.")
                % {"files": ", ".join(missing[:5]) or index.name}
            )
    elif not any(directory.glob("*.safetensors")):
        raise BadWeights(_("There are no weights: no *.safetensors file."))
