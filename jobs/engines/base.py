"""What the platform asks of an engine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from django.utils.functional import Promise

Text = str | Promise
Value = Any  # a plain YAML value


@dataclass(frozen=True)
class Field:
    """One setting: what it is for people, and what the engine calls it.

    `stages` and `methods` name the combinations that it matters for; empty means all.
    """

    name: str
    label: Text
    help: Text
    kind: str  # int, float, bool, choice, text
    default: Value = None
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[tuple[Value, Text], ...] = ()
    kinds: tuple[str, ...] = ("train",)
    stages: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    is_main: bool = False

    def matters_for(self, kind: str, stage: str, method: str) -> bool:
        """Whether the setting does anything in this combination."""
        return (
            kind in self.kinds
            and (not self.stages or stage in self.stages)
            and (not self.methods or method in self.methods)
        )


@dataclass(frozen=True)
class Choice:
    """A card on the form: greyed with its reason when it cannot be taken."""

    value: str
    title: Text
    text: Text
    icon: str
    reason: Text = ""


@dataclass(frozen=True)
class Hardware:
    """What the nodes have: memory of each GPU, and of the largest machine; bytes."""

    gpu_memory: tuple[int, ...] = ()
    memory: int = 0
    cpus: int = 1

    @property
    def has_gpu(self) -> bool:
        """Whether trainings run on a GPU."""
        return bool(self.gpu_memory)


@dataclass(frozen=True)
class Source:
    """A model as an engine loads it: each part is a path under TRAINER_HOME or `hub:<id>`."""

    base: str
    adapter: str = ""
    template: str = ""
    parameters: int = 0
    shape: Mapping[str, int] = field(default_factory=dict)  # of the model's own config.json
    name: str = "candidate"
    has_tied_words: bool = False  # reading and writing words share their weights


@dataclass(frozen=True)
class Order:
    """A job in the engine's terms, before there is a row of it."""

    kind: str
    source: Source
    stage: str = ""
    method: str = ""
    preset: str = ""
    settings: Mapping[str, Value] = field(default_factory=dict)
    overrides: Mapping[str, Value] = field(default_factory=dict)
    datasets: Sequence[str] = ()  # names in the job's dataset_info.json
    eval_datasets: Sequence[str] = ()
    rows: int = 0
    baseline: Source | None = None
    gpus: int = 0
    hardware: Hardware = Hardware()


@dataclass(frozen=True)
class Estimate:
    """What a job will need. Parts are (label, bytes) of one GPU, or of the machine without one."""

    parts: tuple[tuple[Text, int], ...]
    steps: int | None
    rows_per_step: int
    disk_bytes: int

    @property
    def total(self) -> int:
        """Bytes in all."""
        return sum(size for _, size in self.parts)


@dataclass(frozen=True)
class Request:
    """What a node is asked to run; see `nodes.services.workload_submit`."""

    verb: str
    inputs: dict[str, str]
    files: dict[str, str]
    env: dict[str, str]


@dataclass(frozen=True)
class Failure:
    """What kind of failure it was, the line that proves it, and which advice fits."""

    failure: str
    line: str
    code: str


@dataclass(frozen=True)
class Advice:
    """What to do about a failure, and the settings that would do it."""

    text: Text
    changes: Mapping[str, Value] = field(default_factory=dict)


class Engine(Protocol):
    """An engine's adapter. Nothing here touches the database."""

    name: str
    title: str

    def version(self) -> str:
        """Of the installed environment; empty when none is installed here."""

    def goals(self, kind: str) -> list[Choice]:
        """What a training can teach."""

    def methods(self, stage: str) -> list[Choice]:
        """Which weights may change; those that this machine cannot do carry the reason."""

    def presets(self, stage: str, method: str) -> list[Choice]:
        """How thorough."""

    def fields(self, kind: str, stage: str, method: str) -> list[Field]:
        """The settings that matter for the combination, the main ones first."""

    def all_fields(self) -> Sequence[Field]:
        """Every setting of the catalogue."""

    def arguments(self) -> Mapping[str, Mapping[str, Any]]:
        """Every argument that the engine itself knows."""

    def defaults(self, order: Order) -> dict[str, Value]:
        """The values of `fields` when nobody changes anything."""

    def clean(self, order: Order) -> dict[str, Value]:
        """`order.settings` as the engine wants them; DomainError names the one to blame."""

    def overrides(self, order: Order, text: str) -> dict[str, Value]:
        """The user's YAML, checked; DomainError with field config_overrides."""

    def render(self, order: Order) -> str:
        """The final configuration, YAML."""

    def request(self, kind: str, config: str, source: Source, data: str, **links: str) -> Request:
        """What to run. `links` are further inputs: checkpoint, baseline."""

    def why_not_pausable(self, stage: str, method: str) -> Text:
        """Why a training of this kind cannot go on after a pause; empty when it can."""

    def estimate(self, order: Order) -> Estimate:
        """What it will need."""

    def classify(self, log_tail: str) -> Failure:
        """What went wrong, from the last lines of the log."""

    def advice(self, failure: str, code: str, settings: Mapping[str, Value]) -> Advice:
        """What to do about it."""

    def weights(self, output: Path, checkpoint: str) -> list[Path]:
        """The files that are the model: of the end, or of a checkpoint when it is named."""
