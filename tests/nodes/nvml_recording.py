"""NVML's answers, recorded on a machine with GPUs and given again on one without.

`python tests/nodes/nvml_recording.py > tests/nodes/recorded/NAME.json` records what the platform
asks of the devices of the machine it runs on.
"""

import ctypes
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pynvml

RECORDED = Path(__file__).with_name("recorded")


class Handle(SimpleNamespace):
    """A device of a recording, by its index."""


def packed(value: Any, handles: dict[int, int]) -> Any:
    """An answer as JSON: structures by their fields, device handles by the device's index."""
    if isinstance(value, list | tuple):
        return [packed(part, handles) for part in value]
    if isinstance(value, ctypes.Structure):
        names = [field[0] for field in value._fields_]
        return {"fields": {name: packed(getattr(value, name), handles) for name in names}}
    if isinstance(value, SimpleNamespace) and not isinstance(value, Handle):
        return {"fields": {name: packed(part, handles) for name, part in vars(value).items()}}
    if isinstance(value, Handle):
        return {"device": value.index}
    if isinstance(value, ctypes._Pointer):
        return {"device": handles.get(ctypes.cast(value, ctypes.c_void_p).value or 0, -1)}
    if hasattr(value, "pid") and hasattr(value, "usedGpuMemory"):  # pynvml's own process objects
        return {"fields": {"pid": value.pid, "usedGpuMemory": value.usedGpuMemory}}
    return value.decode() if isinstance(value, bytes) else value


def unpacked(value: Any) -> Any:
    """The other way round."""
    if isinstance(value, list):
        return [unpacked(part) for part in value]
    if isinstance(value, dict) and "fields" in value:
        return SimpleNamespace(**{name: unpacked(part) for name, part in value["fields"].items()})
    return Handle(index=value["device"]) if isinstance(value, dict) else value


class Recorder:
    """Passes every call on to a library and keeps what it answered."""

    def __init__(self, library: Any = pynvml) -> None:
        self.library = library
        self.answers: list[dict[str, Any]] = []
        self.handles: dict[int, int] = {}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            entry: dict[str, Any] = {"call": name, "args": packed(list(args), self.handles)}
            try:
                answer = getattr(self.library, name)(*args)
            except pynvml.NVMLError as error:
                self.answers.append({**entry, "error": error.value})
                raise
            if name == "nvmlDeviceGetHandleByIndex" and isinstance(answer, ctypes._Pointer):
                self.handles[ctypes.cast(answer, ctypes.c_void_p).value or 0] = args[0]
                answer_kept: Any = {"device": args[0]}
            else:
                answer_kept = packed(answer, self.handles)
            self.answers.append({**entry, "answer": answer_kept})
            return answer

        return call


class Recorded:
    """Gives recorded answers. A call that was not recorded fails the test that makes it."""

    def __init__(self, answers: list[dict[str, Any]]) -> None:
        self.answers = {self._key(one["call"], one["args"]): one for one in answers}
        self.asked: list[str] = []

    @classmethod
    def load(cls, name: str) -> "Recorded":
        """The recording of that name."""
        return cls(json.loads((RECORDED / f"{name}.json").read_text())["answers"])

    @staticmethod
    def _key(name: str, args: list[Any]) -> str:
        return f"{name} {json.dumps(args, sort_keys=True)}"

    def put(self, name: str, *args: Any, answer: Any = None, error: int | None = None) -> None:
        """Changes an answer, for states that no recorded machine was in."""
        entry = {"call": name, "args": packed(list(args), {})}
        entry |= {"error": error} if error is not None else {"answer": packed(answer, {})}
        self.answers[self._key(name, entry["args"])] = entry

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            self.asked.append(name)
            key = self._key(name, packed(list(args), {}))
            assert key in self.answers, f"not recorded: {key}"
            entry = self.answers[key]
            if "error" in entry:
                raise pynvml.NVMLError(entry["error"])
            return unpacked(entry["answer"])

        return call


def record() -> dict[str, Any]:
    """What the platform asks of this machine's devices, with the answers."""
    from nodes.nvml import Nvml

    recorder = Recorder()
    nvml = Nvml(recorder)
    nvml.gpus()
    nvml.loads()
    nvml.faults()
    return {"what": "recorded by tests/nodes/nvml_recording.py", "answers": recorder.answers}


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    json.dump(record(), sys.stdout, indent=1)
