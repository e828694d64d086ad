"""What an agent does for the workloads of its node: starts, watches, stops them, notices ends."""

import logging
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db import InterfaceError, OperationalError
from django.utils import timezone

from common.phrases import gettext as _
from nodes import services
from nodes.models import Workload
from nodes.runners import NoRoom, Place, Runner, Sight, Unreachable
from nodes.services import follow
from nodes.signals import workload_progressed
from nodes.staging.carried import Way
from nodes.staging.carrier import Carrier, NotBrought

logger = logging.getLogger(__name__)
State = Workload.State
ROWS_SECONDS = 1.0
MARKS = ("pk", "epoch", "state", "stop_mode", "stop_requested_at", "started_at", "exited_at")
MEMORY_SECONDS = 2.0
PROGRESS_SECONDS = 0.25
NOTE_SECONDS = 3.0  # between two notes of how far files are on their way
UNCLAIMED_SECONDS = 3.0  # then the agent starts a placed workload itself
BEGUN_SECONDS = 15.0  # then a start that brought no process is taken over
GRACE_SECONDS = {"kill": 5.0, "checkpoint": 600.0}  # between the polite signal and the last one


@dataclass(slots=True)
class Followed:
    """What the agent remembers of a workload between two looks."""

    place: Place
    metrics: Path
    seen_at: float = field(default_factory=time.monotonic)
    metrics_bytes: int = 0
    metrics_at: float = 0.0
    memory_at: float = 0.0
    noted_at: float = float("-inf")


class Follower:
    """Follows the workloads of one node, as the part of its agent that comes around most often."""

    def __init__(self, name: str, driver: Runner) -> None:
        self.name = name
        self.driver = driver
        self.node_id = uuid.UUID(int=0)
        self.carrier: Carrier | None = None  # on a node that does not share the directory
        self.trouble = ""  # what keeps it from starting anything
        self.followed: dict[uuid.UUID, Followed] = {}
        self.stumbled: dict[uuid.UUID, str] = {}  # over what, so that it is logged once
        self.rows: list[Workload] = []
        self.marks: set[tuple[Any, ...]] | None = None  # what moves of the rows
        self.rows_at = 0.0

    def follow(self) -> None:
        """Looks at every workload that has its place here."""
        now = time.monotonic()
        if now - self.rows_at >= ROWS_SECONDS:
            self.rows_at = now
            self._read_rows()
        for row in list(self.rows):
            try:
                self._look_at(row, now)
            except Unreachable as error:  # nothing is known of it, so nothing is concluded
                self.trouble = str(error)
            except (OperationalError, InterfaceError):
                raise
            except Exception as error:  # its own files or container: the others are followed on
                if self.stumbled.get(row.pk) != repr(error):
                    self.stumbled[row.pk] = repr(error)
                    logger.exception("workload %s cannot be followed", row.pk)

    def _read_rows(self) -> None:
        """Reads the rows where something in them moved, which mostly is not so."""
        active = Workload.objects.active().filter(node_id=self.node_id)
        marks = set(active.values_list(*MARKS))
        if marks == self.marks:
            return
        # What moves between the two questions is read once more at the next look.
        self.rows, self.marks = list(active.select_related("node")), marks
        if self.carrier is not None:
            self.carrier.look(self.rows)
        present = {row.pk for row in self.rows}
        self.followed = {pk: one for pk, one in self.followed.items() if pk in present}
        self.stumbled = {pk: one for pk, one in self.stumbled.items() if pk in present}

    def _look_at(self, row: Workload, now: float) -> None:
        known = self.followed.get(row.pk)
        if known is None or known.place.epoch != row.epoch:
            place = follow.place_of(row)
            known = self.followed[row.pk] = Followed(place, row.metrics_path)
        if row.state == State.PLACED:
            self._start_if_nobody_does(row)
            return
        place = known.place
        sight, exit_ = self.driver.poll(place)
        if self.carrier is None:
            self._report_progress(row, known, now, last=sight is not Sight.ALIVE)
        elif self._is_carried(self.carrier, row, known, sight):
            if sight is Sight.ENDED and exit_ is not None and row.exited_at is None:
                services.workload_exited(row.pk, row.epoch, exit_)
                self.rows_at = 0.0
            return
        if sight is Sight.ENDED and exit_ is not None:
            services.workload_ended(row.pk, row.epoch, exit_)
            self._forget(row)
            self._clear(row, place)
        elif sight is Sight.GONE:
            with suppress(Unreachable):
                self.driver.remove(row.pk, row.epoch, force=True)
            why = _("Its process is gone, and nothing says how it ended.")
            services.workload_lost(row.pk, row.epoch, reason=why)
            self._forget(row)
        elif sight is Sight.ALIVE:
            self._look_after(row, known, place, now)
        elif now - known.seen_at > BEGUN_SECONDS or row.state == State.STOPPING:
            self._take_over(row, place, now - known.seen_at)

    def _clear(self, row: Workload, place: Place) -> None:
        """What cannot be cleared now is an orphan later."""
        if row.is_service:
            row.socket_path.unlink(missing_ok=True)
        with suppress(Unreachable):
            self.driver.clear(place)

    def _is_carried(self, carrier: Carrier, row: Workload, known: Followed, sight: Sight) -> bool:
        """Whether its files are on their way, so that nothing else can be done with it yet."""
        if sight in (Sight.ENDED, Sight.GONE):
            return not self._is_home(carrier, row, known)
        if sight is not Sight.ABSENT or row.state != State.STARTING:
            return False
        try:
            inputs = carrier.inputs_of(row)
        except (NotBrought, NoRoom) as error:
            why = _("Its inputs could not be brought to %(node)s: %(error)s")
            reason = why % {"node": self.name, "error": error}
            if isinstance(error, NoRoom):
                follow.workload_return(row.pk, row.epoch, reason=reason)
            else:
                outcome = Workload.Outcome.ERROR
                services.workload_end(row.pk, row.epoch, outcome=outcome, reason=reason)
            self._forget(row)
            return True
        if inputs is not None:
            known.seen_at = time.monotonic()
            follow.workload_launch(row, inputs)
            self.rows_at = 0.0
        return True

    def _is_home(self, carrier: Carrier, row: Workload, known: Followed) -> bool:
        """Whether all that an ended one wrote is at the control plane; if not, its row says why."""
        try:
            if carrier.is_home(row):
                return True
        except NotBrought as error:
            why = _(
                "What it wrote could not be brought from %(node)s, where operators find it for a"
                " while: %(error)s"
            )
            follow.workload_keep(
                row.pk,
                row.epoch,
                reason=why % {"node": self.name, "error": error},
                path=carrier.keep(row),
            )
            self._forget(row)
            self._clear(row, known.place)
        else:
            self._note_way(row, known, carrier.way_of(row))
        return False

    def _note_way(self, row: Workload, known: Followed, way: Way) -> None:
        if time.monotonic() - known.noted_at > NOTE_SECONDS:
            known.noted_at = time.monotonic()
            follow.workload_sending_note(
                row.pk, row.epoch, sent=way.sent, size=way.size, hindrance=way.hindrance
            )

    def _forget(self, row: Workload) -> None:
        self.rows = [other for other in self.rows if other.pk != row.pk]
        self.marks = None

    def _start_if_nobody_does(self, row: Workload) -> None:
        placed_at = row.placed_at or row.queued_at
        if (timezone.now() - placed_at).total_seconds() > UNCLAIMED_SECONDS:
            with suppress(services.ForeignWorkload):  # placed anew since it was read
                services.workload_start(row.pk, row.epoch, node=self.name)
            self.rows_at = 0.0

    def _take_over(self, row: Workload, place: Place, seconds: float) -> None:
        """A start that brought no process: by somebody who was killed in the middle of it."""
        if row.state == State.STOPPING and seconds < GRACE_SECONDS["kill"]:
            return
        self.driver.call_off(place)
        if self.driver.poll(place)[0] is Sight.ALIVE:
            return
        claimed = services.workload_reclaim(row.pk, row.epoch)
        if claimed is not None and self.carrier is None:
            follow.workload_launch(claimed)
        self.rows_at = 0.0

    def _look_after(self, row: Workload, known: Followed, place: Place, now: float) -> None:
        """A process that lives: started, to be stopped, or too greedy."""
        if row.started_at is None and services.workload_started(row.pk, row.epoch):
            self.rows_at = 0.0
        if row.state == State.STOPPING:
            asked = row.stop_requested_at or timezone.now()
            grace = GRACE_SECONDS.get(row.stop_mode, GRACE_SECONDS["kill"])
            overdue = (timezone.now() - asked).total_seconds() > grace
            self.driver.stop(place, force=overdue)
        if row.memory_limit_bytes and now - known.memory_at > MEMORY_SECONDS:
            known.memory_at = now
            used = self.driver.memory(place)
            if used > row.memory_limit_bytes:
                services.workload_overrun(row.pk, row.epoch, used_bytes=used)
                self.driver.stop(place, force=True)

    def _report_progress(self, row: Workload, known: Followed, now: float, *, last: bool) -> None:
        """Tells that the metric file has grown, at most four times a second and once at the end."""
        try:
            size = known.metrics.stat().st_size
        except OSError:
            return
        if size == known.metrics_bytes or (now - known.metrics_at < PROGRESS_SECONDS and not last):
            return
        known.metrics_bytes, known.metrics_at = size, now
        workload_progressed.send_robust(sender=Workload, workload_id=row.pk)
