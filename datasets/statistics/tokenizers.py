"""Tokenizers of models, as readers choose among them."""

from dataclasses import dataclass
from pathlib import Path

from common.phrases import gettext as _
from datasets.checking import counting_key
from datasets.shapes.families import is_known

FILE = "tokenizer.json"


@dataclass(frozen=True)
class Tokenizer:
    """The tokenizer of a model, known by the id of the model's version.

    `directory` is None where the model's files are not on this installation's disk.
    """

    id: str
    name: str
    directory: Path | None
    template: str
    is_base: bool

    @property
    def problem(self) -> str:
        """Why nothing can be counted with it; empty when it can."""
        if self.directory is None:
            return _("The files of “%(name)s” are not here, only on a hub.") % {"name": self.name}
        if not (self.directory / FILE).is_file():
            return _("“%(name)s” has no tokenizer.json.") % {"name": self.name}
        return ""

    @property
    def words_known(self) -> bool:
        """Whether rows are shown with the template's own words; else with ChatML's."""
        return is_known(self.template)

    @property
    def key(self) -> str:
        """What its counts are filed under; empty when there is a problem."""
        if self.directory is None or self.problem:
            return ""
        return counting_key(self.directory, self.template)
