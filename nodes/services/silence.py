"""How long nodes have been silent, as one judge has witnessed it itself.

Only the judge's own clock since boot counts, which nobody can set; of the database's clock, which
may step, it takes no more than whether a node's last sign of life is still the same. And only time
in which it looked counts: while the database is away no node can be heard of.
"""

import uuid
from dataclasses import dataclass, field
from datetime import datetime

from django.core.cache import cache

from nodes.models import Node
from nodes.runners.shim import boot_id, since_boot

SURE_SECONDS = 15.0  # three beats: between looks so close to each other a living node is heard of
FAR_SECONDS = 150.0  # two of the control plane's sweeps and what its queue is late
KEPT_SECONDS = 24 * 3600


@dataclass(slots=True)
class Sign:
    """A node's last sign of life, and for how many seconds it was seen to be the last one."""

    beat: datetime
    seconds: float = 0.0
    doubted: float = 0.0  # since the look before; they count if the next look finds the same


@dataclass(slots=True)
class Witness:
    """One judge's memory. An agent's looks come every two seconds."""

    least: float = 0.0  # seconds between two looks; what comes earlier is none
    most: float = SURE_SECONDS  # after a longer time without a look, nothing is known of that time
    signs: dict[uuid.UUID, Sign] = field(default_factory=dict)
    looked_at: float = -FAR_SECONDS

    def look(self, now: float) -> None:
        """Reads the signs of life; `now` in seconds of a clock that only this process' boot sets.

        Of a time so long that the database may have been away for most of it, the node gets until
        the next look to be heard of.
        """
        gap = now - self.looked_at
        if gap < self.least:
            return
        sure = gap if gap <= SURE_SECONDS else 0.0
        doubted = gap if SURE_SECONDS < gap <= self.most else 0.0
        signs: dict[uuid.UUID, Sign] = {}
        for pk, beat in Node.objects.present().values_list("pk", "heartbeat_at"):
            old = self.signs.get(pk)
            if beat is None:
                continue
            if old is None or old.beat != beat:
                signs[pk] = Sign(beat)
            else:
                signs[pk] = Sign(beat, old.seconds + old.doubted + sure, doubted)
        self.signs, self.looked_at = signs, now

    def silent(self, seconds: float) -> dict[uuid.UUID, datetime]:
        """Those that were silent for so long, with their last sign of life."""
        return {pk: sign.beat for pk, sign in self.signs.items() if sign.seconds >= seconds}


def witness_of_control() -> Witness:
    """The control plane's, which looks now. Its worker is short-lived, so the cache remembers.

    What the cache forgets, and what was seen before the machine's boot, is witnessed anew.
    """
    key = f"nodes.witness.{boot_id()}"
    looked_at, signs = cache.get(key, (-FAR_SECONDS, {}))
    witness = Witness(
        least=SURE_SECONDS,
        most=FAR_SECONDS,
        signs={pk: Sign(*values) for pk, values in signs.items()},
        looked_at=looked_at,
    )
    witness.look(since_boot())
    kept = {pk: (one.beat, one.seconds, one.doubted) for pk, one in witness.signs.items()}
    cache.set(key, (witness.looked_at, kept), KEPT_SECONDS)
    return witness
