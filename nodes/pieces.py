"""Parts of a workload's log as pages and API give them."""

from nodes import logs
from nodes.models import Workload


def log_piece(workload: Workload, *, before: int | None, offset: int | None) -> dict[str, object]:
    """A part of the log as JSON: what stands before a byte, what follows one, or the last lines."""
    path = workload.log_path
    if before is not None:
        return {**logs.piece_before(path, before).as_json()}
    if offset is None or offset > logs.size_of(path):
        offset = logs.tail_start(path)
    # The state was read before the log: after an end nothing is written any more.
    over = workload.state == Workload.State.ENDED
    piece = logs.piece_from(path, offset)
    end = over and piece.next >= logs.size_of(path)
    return {**piece.as_json(), **({"end": True} if end else {})}
