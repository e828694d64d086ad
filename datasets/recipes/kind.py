"""What a kind of step is."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from datasets.recipes.parameters import Parameter, Text
from datasets.recipes.rows import Row, Work
from datasets.shapes.mapping import Mapping as RowMapping

ROWS_MAX = 10**9


@dataclass(frozen=True)
class Kind:
    """A kind of step. `reads` tells how rows are read after it, from how they were before; one that
    `makes` rows of others has all rows of its recipe name their origin.
    """

    name: str
    label: Text
    text: Text
    icon: str
    parameters: tuple[Parameter, ...]
    run: Callable[[Iterator[Row], Work, Mapping[str, Any]], Iterator[Row]]
    check: Callable[[Mapping[str, Any]], None] = lambda _given: None  # of all together; `Refused`
    reads: Callable[[RowMapping, Mapping[str, Any]], RowMapping] = lambda before, _given: before
    makes: bool = False

    def defaults(self) -> dict[str, Any]:
        """The parameters of a new step."""
        return {one.name: one.default for one in self.parameters}

    def complete(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Stored parameters with defaults for those that were not known when they were stored."""
        return self.defaults() | dict(given)
