"""What of a project's graph somebody asks for."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.http import QueryDict

from accounts.models import Project, User
from common.errors import DomainError
from common.phrases import gettext as _
from common.texts import text_of, whole
from config.lineage.collecting import Collected, project_graph
from config.lineage.graph import Graph, Kind

SHOWN = 250
SHOWN_MAX = 1000


@dataclass(frozen=True)
class Wish:
    """One thing (`at`), things with words in their names, or the newest; of some kinds or all."""

    at: str = ""
    words: str = ""
    kinds: frozenset[Kind] = frozenset(Kind)
    limit: int = SHOWN


@dataclass(frozen=True)
class Answer:
    """What is drawn, and of how many."""

    graph: Graph
    total: int
    is_whole: bool


def wish_of(query: QueryDict | Mapping[str, str]) -> Wish:
    """The wish in an address; DomainError for kinds that there are not."""
    named = query.getlist("kind") if isinstance(query, QueryDict) else []
    if unknown := [kind for kind in named if kind not in Kind.values]:
        raise DomainError(
            _("There is no kind “%(kind)s”. The kinds are %(kinds)s.")
            % {"kind": unknown[0], "kinds": ", ".join(Kind.values)},
            field="kind",
            code="kind_unknown",
        )
    limit = whole(query.get("limit", ""))
    return Wish(
        at=query.get("at", "").strip(),
        words=text_of(query, "q"),
        kinds=frozenset(map(Kind, named)) or frozenset(Kind),
        limit=SHOWN if limit is None else min(limit, SHOWN_MAX),
    )


def answer(project: Project, reader: User, wish: Wish) -> Answer:
    """The part of the graph that is asked for, with the names that the reader may know."""
    found = project_graph(project, reader)
    kept = wish.kinds | {kind for kind in Kind if wish.at.startswith(f"{kind.value}:")}
    found.graph = found.graph.without(set(Kind) - kept)
    keys = _chosen(found, wish)
    return Answer(
        found.named(keys[: wish.limit]),
        len(keys),
        len(keys) <= wish.limit and not found.is_cut,
    )


def _chosen(found: Collected, wish: Wish) -> list[str]:
    """The keys in the order in which they are wanted."""
    graph = found.graph
    if wish.at:
        return graph.around([wish.at]) if wish.at in graph.known() else []
    dated = {key: node.at for key, node in graph.nodes.items() if node.at is not None}
    newest = sorted(dated, key=lambda key: (dated[key], key), reverse=True)
    if wish.words:
        words = wish.words.casefold()
        return graph.around(key for key in newest if words in graph.nodes[key].title.casefold())
    # What is only remembered, or another project's, has its place beside what names it.
    sources, targets = graph.neighbours()
    keys: dict[str, None] = {}
    for one in newest:
        border = [one]
        while border:
            key = border.pop()
            keys[key] = None
            near = sources.get(key, set()) | targets.get(key, set())
            border += sorted(near - dated.keys() - keys.keys())
    return list(keys)
