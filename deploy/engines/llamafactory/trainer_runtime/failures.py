"""Say what kind of failure an exception is, for people and for the platform's retry rules."""

from __future__ import annotations

import errno
import json
import sys
import traceback

from .workload import ConfigError, DataError

_OOM = ("out of memory", "cuda_error_out_of_memory", "cublas_status_alloc_failed")
_GPU = (
    "cuda error", "cudnn error", "cudnn_status", "nccl error", "uncorrectable ecc",
    "device-side assert", "no cuda gpus are available", "cuda driver", "cublas_status",
    "launch failure", "illegal memory access",
)  # fmt: skip
_NETWORK = (
    "connection error", "max retries exceeded", "couldn't connect", "failed to resolve",
    "temporary failure in name resolution", "localentrynotfound", "offline mode",
    "repositorynotfound", "is not a local folder", "gatedrepo", "read timed out",
)  # fmt: skip
_NETWORK_TYPES = {
    "ConnectionError", "ConnectError", "ConnectTimeout", "ReadTimeout", "HfHubHTTPError",
    "RepositoryNotFoundError", "GatedRepoError", "LocalEntryNotFoundError", "OfflineModeIsEnabled",
    "HFValidationError", "NotExistError", "MaxRetryError",
}  # fmt: skip
_DATA_TYPES = {
    "DatasetGenerationError", "DataFilesNotFoundError", "DatasetNotFoundError", "ArrowInvalid",
    "CastError", "UnicodeDecodeError", "JSONDecodeError", "ParserError",
}  # fmt: skip
_DATA = (
    "dataset", "cannot find valid samples", "cannot find sufficient samples", "json parse",
    "data/readme.md", "column",
)  # fmt: skip


def _chain(error: BaseException) -> list[BaseException]:
    """Return the error and what it came from."""
    seen: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in seen:
        seen.append(current)
        current = current.__cause__ or current.__context__
    return seen


def classify(error: BaseException, stage: str) -> str:
    """Guess the class of a failure from its type, its text and what was being done."""
    chain = _chain(error)
    names = {kind.__name__ for one in chain for kind in type(one).__mro__}
    text = " ".join(str(one) for one in chain).lower()
    if isinstance(error, ConfigError):
        return "user_config"
    if isinstance(error, DataError):
        return "user_data"
    if {"OutOfMemoryError", "MemoryError"} & names or any(part in text for part in _OOM):
        return "oom"
    full = {errno.ENOSPC, errno.EDQUOT}
    if any(isinstance(one, OSError) and one.errno in full for one in chain):
        return "disk"
    if "no space left on device" in text:
        return "disk"
    if "AcceleratorError" in names or any(part in text for part in _GPU):
        return "gpu_hw"
    if _NETWORK_TYPES & names or any(part in text for part in _NETWORK):
        return "network_hub"
    if _DATA_TYPES & names or (stage == "preparing" and any(part in text for part in _DATA)):
        return "user_data"
    if stage == "preparing" and isinstance(error, KeyError | TypeError | ValueError):
        return "user_data"
    if stage in {"starting", "loading", "preparing"} and isinstance(
        error, ValueError | TypeError | OSError | ImportError | NotImplementedError
    ):
        return "user_config"
    return "engine_bug"


def explain(error: BaseException, kind: str) -> str:
    """Return the message of an error, with the causes that it was raised from."""
    if isinstance(error, KeyError) and kind == "user_data":
        return f"The data has no column or field {error}."
    texts: list[str] = []
    current: BaseException | None = error
    while current is not None and len(texts) < 3:
        text = str(current).strip() or type(current).__name__
        if not any(text in known for known in texts):
            texts.append(text)
        current = current.__cause__
    return " Cause: ".join(texts)


def report(error: BaseException, stage: str) -> None:
    """Print the traceback and one last line that a program can read."""
    traceback.print_exception(error, file=sys.stderr)
    kind = classify(error, stage)
    facts = {"type": type(error).__name__, "message": explain(error, kind)[:2000], "class": kind}
    line = json.dumps(facts, ensure_ascii=False)
    print(f"trainer-error: {line}", file=sys.stderr, flush=True)
