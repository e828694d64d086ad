"""A layered drawing: what comes from something stands to the right of it.

The longest way from a beginning says the layer; beginnings stand just before what was made of
them. Long edges go through empty places of the layers between, and the order in a layer follows
the neighbours' (barycentres), so that few edges cross. Parts that hang together stand together,
the newest on top.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

from config.lineage.graph import Edge, Graph, Node

WIDTH, HEIGHT = 208, 54  # of a node
GAP_X, GAP_Y = 56, 14
THIN = 14  # height of the place of a passing edge
MARGIN = 12
SWEEPS = 6
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Box:
    """A node and the upper left corner of its box."""

    node: Node
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Line:
    """An edge as the path of an SVG."""

    edge: Edge
    path: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """All boxes and lines, and the size of the whole."""

    boxes: list[Box]
    lines: list[Line]
    width: int
    height: int


def draw(graph: Graph) -> Drawing:
    """The graph as a picture."""
    boxes: list[Box] = []
    lines: list[Line] = []
    width, top = 0, MARGIN
    for keys in _parts(graph):
        part = _Part(graph.only(keys))
        x, height = part.place(top)
        boxes += sorted(part.boxes(), key=lambda box: (box.x, box.y))
        lines += part.lines()
        width, top = max(width, x), top + height + GAP_Y
    return Drawing(boxes, lines, width + MARGIN, max(top - GAP_Y, 0) + MARGIN)


def _parts(graph: Graph) -> list[list[str]]:
    """What hangs together, the newest first."""
    sources, targets = graph.neighbours()
    left, parts = set(graph.nodes), []
    while left:
        part, border = [], [left.pop()]
        while border:
            key = border.pop()
            part.append(key)
            near = (sources.get(key, set()) | targets.get(key, set())) & left
            left -= near
            border += near
        parts.append(part)
    return sorted(
        parts, key=lambda part: max(graph.nodes[key].at or EPOCH for key in part), reverse=True
    )


class _Part:
    """Nodes that hang together. Places of passing edges have the keys `>n`."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.layer = _layers(graph)
        self.ways: dict[Edge, list[str]] = {}
        self.before: dict[str, list[str]] = {}
        self.after: dict[str, list[str]] = {}
        self.y: dict[str, float] = {}
        for edge in sorted(graph.edges, key=lambda edge: (edge.source, edge.target)):
            self._route(edge)
        deepest = max(self.layer.values(), default=0)
        self.layers: list[list[str]] = [[] for _ in range(deepest + 1)]
        for key in sorted(self.layer, key=self._age, reverse=True):
            self.layers[self.layer[key]].append(key)

    def _age(self, key: str) -> tuple[datetime, str]:
        node = self.graph.nodes.get(key)
        return (node.at if node and node.at else EPOCH, key)

    def _route(self, edge: Edge) -> None:
        if self.layer[edge.source] >= self.layer[edge.target]:
            return  # only in a circle, which nothing that was made from something can be
        way = [edge.source]
        for place in range(self.layer[edge.source] + 1, self.layer[edge.target]):
            way.append(f">{len(self.layer)}")
            self.layer[way[-1]] = place
        way.append(edge.target)
        self.ways[edge] = way
        for one, following in pairwise(way):
            self.after.setdefault(one, []).append(following)
            self.before.setdefault(following, []).append(one)

    def place(self, top: int) -> tuple[int, int]:
        """Gives everything its place below `top`; the width and height that it takes."""
        for layer in self.layers:
            self._stack(layer, dict.fromkeys(layer, 0.0))
        for sweep in range(SWEEPS):
            forward = sweep % 2 == 0
            near = self.before if forward else self.after
            for layer in self.layers if forward else reversed(self.layers):
                wanted = {key: self._middle(near.get(key, ()), self.y[key]) for key in layer}
                layer.sort(key=wanted.__getitem__)
                self._stack(layer, wanted)
        lowest = min(self.y.values())
        self.y = {key: y - lowest + top for key, y in self.y.items()}
        bottom = max(self.y[key] + self._height(key) for key in self.y)
        return MARGIN + len(self.layers) * (WIDTH + GAP_X) - GAP_X, round(bottom) - top

    def _middle(self, keys: Iterable[str], default: float) -> float:
        found = [self.y[key] for key in keys]
        return sum(found) / len(found) if found else default

    def _stack(self, layer: list[str], wanted: dict[str, float]) -> None:
        """As near to what is wanted as the boxes above allow, then all moved to their middle."""
        bottom, moved = float("-inf"), 0.0
        for key in layer:
            self.y[key] = max(wanted[key], bottom)
            moved += self.y[key] - wanted[key]
            bottom = self.y[key] + self._height(key) + GAP_Y
        for key in layer:
            self.y[key] -= moved / len(layer)

    @staticmethod
    def _height(key: str) -> int:
        return THIN if key.startswith(">") else HEIGHT

    def boxes(self) -> list[Box]:
        """The nodes' boxes."""
        return [
            Box(node, self._x(key), round(self.y[key])) for key, node in self.graph.nodes.items()
        ]

    def _x(self, key: str) -> int:
        return MARGIN + self.layer[key] * (WIDTH + GAP_X)

    def lines(self) -> list[Line]:
        """The edges' paths."""
        return [Line(edge, self._path(way)) for edge, way in self.ways.items()]

    def _path(self, way: list[str]) -> str:
        points: list[str] = []
        for one, following in pairwise(way):
            x, y = self._x(one) + WIDTH, round(self.y[one] + self._height(one) / 2)
            to_x, to_y = self._x(following), round(self.y[following] + self._height(following) / 2)
            points.append(f"M{x} {y}" if not points else f"L{x} {y}")
            half = (to_x - x) // 2
            points.append(f"C{x + half} {y} {to_x - half} {to_y} {to_x} {to_y}")
        return "".join(points)


def _layers(graph: Graph) -> dict[str, int]:
    """The layer of each node: the longest way to it; beginnings stand just before what follows."""
    sources, targets = graph.neighbours()
    waits = {key: len(sources.get(key, ())) for key in graph.nodes}
    layer = dict.fromkeys(graph.nodes, 0)
    ready = sorted(key for key, count in waits.items() if not count)
    while ready:
        key = ready.pop()
        for target in targets.get(key, ()):
            layer[target] = max(layer[target], layer[key] + 1)
            waits[target] -= 1
            if not waits[target]:
                ready.append(target)
    for key in graph.nodes:
        if key not in sources and key in targets:
            layer[key] = min(layer[target] for target in targets[key]) - 1
    return layer
