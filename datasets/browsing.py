"""Pages of rows that a reader asks for by an address: on the page and over the API the same."""

from dataclasses import replace

from datasets import services
from datasets.choices import DECISION_NAMES
from datasets.models import DatasetVersion, Revision
from datasets.previews import Page, decided_on, rows_page
from datasets.reading.indexed import IndexedReader
from datasets.services.inputs import Seer
from datasets.statistics.choosing import Choice


def rows_asked(
    version: DatasetVersion,
    *,
    choice: Choice,
    decision: str,
    words: str,
    start: int,
    count: int,
    draft: Revision | None,
    by: Seer,
) -> tuple[Page, services.Standing]:
    """Rows from number `start` (from 0) on, and whether the indexes for them are there.

    While they are not, there are no rows. Those with a `decision` of `DECISION_NAMES` in the draft
    come alone. See `rows_page`.
    """
    if words:
        choice = replace(choice, order="", by="")  # a search goes through the file in its order
    standing = services.indexes_ready(version, choice, by=by)
    if standing.state != "done":
        total = IndexedReader(version.rows_path).count
        return Page([], total, 0, start, None), standing
    among = decided_on(draft, decision) if decision in DECISION_NAMES else None
    page = rows_page(version, start=start, count=count, words=words, choice=choice, among=among)
    return page, standing
