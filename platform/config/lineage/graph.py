"""Nodes and edges, and what of them is drawn. Nothing here knows a database."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from django.db import models
from django.utils.translation import gettext_lazy as _

BRIDGES_MAX = 400  # edges that stand for one node that is left out


class Kind(models.TextChoices):
    """What a node is, in the order in which things come from each other.

    Imported data is of the kind of its place, see `Import.Kind`.
    """

    FILE = "file", _("uploaded file")
    HUGGINGFACE = "huggingface", _("Hugging Face")
    MODELSCOPE = "modelscope", _("ModelScope")
    S3 = "s3", _("S3 or OSS")
    DIRECTORY = "directory", _("Shared directory")
    DATA = "data", _("dataset version")
    RUN = "run", _("recipe run")
    TRAINING = "training", _("training")
    EXPORT = "export", _("export")
    MODEL = "model", _("model version")
    EVALUATION = "evaluation", _("evaluation")
    DEPLOYMENT = "deployment", _("deployment")


ICONS = {
    Kind.FILE: "file-up",
    Kind.HUGGINGFACE: "cloud-download",
    Kind.MODELSCOPE: "cloud-download",
    Kind.S3: "cylinder",
    Kind.DIRECTORY: "folder-input",
    Kind.DATA: "database",
    Kind.RUN: "brush-cleaning",
    Kind.TRAINING: "graduation-cap",
    Kind.EXPORT: "package",
    Kind.MODEL: "boxes",
    Kind.EVALUATION: "scale",
    Kind.DEPLOYMENT: "rocket",
}
PLACES = frozenset({Kind.HUGGINGFACE, Kind.MODELSCOPE, Kind.S3, Kind.DIRECTORY})


def key_of(kind: Kind, which: object) -> str:
    """How a node is named in addresses and over the API."""
    return f"{kind.value}:{which}"


def kind_of(key: str) -> Kind:
    """The kind of what a key names."""
    return Kind(key.partition(":")[0])


@dataclass(frozen=True, slots=True)
class Node:
    """A thing. Without `url` it is gone, or the reader may not see it."""

    key: str
    kind: Kind
    title: str
    note: str = ""
    state: str = "off"  # ok, run, wait, no, off: the colours of states
    state_text: str = ""
    url: str = ""
    at: datetime | None = None
    is_gone: bool = False

    @property
    def icon(self) -> str:
        """The sign of its kind."""
        return ICONS[self.kind]

    @property
    def title_parts(self) -> tuple[str, str]:
        """The title and, apart from it, the version that it ends in: this is never cut off."""
        name, mark, number = self.title.rpartition(" v")
        return (name, f"v{number}") if mark and number.isdigit() else (self.title, "")

    @property
    def is_place(self) -> bool:
        """Whether data was imported from it."""
        return self.kind in PLACES


@dataclass(frozen=True, slots=True)
class Edge:
    """`target` was made from `source`; or only measured with it while it was made."""

    source: str
    target: str
    measures: bool = False


@dataclass
class Graph:
    """Nodes by their keys, and the edges between them."""

    nodes: dict[str, Node] = field(default_factory=dict)
    edges: set[Edge] = field(default_factory=set)

    def known(self) -> set[str]:
        """All nodes, also those that so far are only named by edges."""
        ends = {key for edge in self.edges for key in (edge.source, edge.target)}
        return ends | set(self.nodes)

    def neighbours(self) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
        """The sources and the targets of each node that has some."""
        sources: dict[str, set[str]] = {}
        targets: dict[str, set[str]] = {}
        for edge in self.edges:
            sources.setdefault(edge.target, set()).add(edge.source)
            targets.setdefault(edge.source, set()).add(edge.target)
        return sources, targets

    def around(self, keys: Iterable[str]) -> list[str]:
        """These, all they come from, and all that became of them; the nearest first."""
        wanted = list(keys)
        found = dict.fromkeys(wanted)
        for side in self.neighbours():
            reached, border = set(wanted), wanted
            while border:
                ahead = {following for key in border for following in side.get(key, ())}
                border = sorted(ahead - reached)
                reached.update(border)
                found |= dict.fromkeys(border)
        return list(found)

    def only(self, keys: Iterable[str]) -> "Graph":
        """These nodes, as far as they are known, and the edges among them."""
        wanted = set(keys)
        return Graph(
            {key: node for key, node in self.nodes.items() if key in wanted},
            {edge for edge in self.edges if edge.source in wanted and edge.target in wanted},
        )

    def without(self, kinds: Iterable[Kind]) -> "Graph":
        """Without nodes of these kinds; what came from them then comes from their sources."""
        left_out = set(kinds)
        hidden = {key for key in self.known() if kind_of(key) in left_out}
        sources, targets = self.neighbours()
        for key in hidden:
            before, after = sources.pop(key, set()), targets.pop(key, set())
            bridged = len(before) * len(after) <= BRIDGES_MAX
            for source in before:
                targets[source] = targets[source] - {key} | (after if bridged else set())
            for target in after:
                sources[target] = sources[target] - {key} | (before if bridged else set())
        known = {(edge.source, edge.target): edge for edge in self.edges}
        edges = {
            known.get((source, target), Edge(source, target))
            for target, found in sources.items()
            for source in found
        }
        return Graph({key: node for key, node in self.nodes.items() if key not in hidden}, edges)

    def rename(self, old: str, node: Node) -> None:
        """Puts a node in the place of a key that edges name."""
        self.nodes[node.key] = node
        for edge in [edge for edge in self.edges if old in (edge.source, edge.target)]:
            self.edges.remove(edge)
            ends = [node.key if key == old else key for key in (edge.source, edge.target)]
            self.edges.add(replace(edge, source=ends[0], target=ends[1]))
