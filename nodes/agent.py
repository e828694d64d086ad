"""The node agent: beats, follows what runs here, notices ends, adopts after a restart, tidies up.

It may be killed at any moment: what it knows is in the database and in the workloads' files. All
its database work runs in one thread, step by step; a failing database is waited for.
"""

import asyncio
import errno
import logging
import socket
import time
import uuid
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import Error, connection
from django.utils import timezone

from common.errors import DomainError
from common.phrases import gettext as _
from common.version import VERSION
from nodes import forwarding, services
from nodes.machine import Machine, ancestors, machine_id
from nodes.models import Node, Workload
from nodes.runners import Place, Runner, Sight, Unfit, Unreachable, runner
from nodes.services import follow, machines
from nodes.services.reach import node_reach_set
from nodes.services.sharing import home_id, node_key, node_shares_home_set
from nodes.signals import agent_tick, workload_progressed
from nodes.staging.carrier import Carrier, NotBrought, carrier_made, carrier_make
from nodes.staging.control import Away, Refused, home_of_control

logger = logging.getLogger(__name__)
State = Workload.State

FOLLOW_SECONDS = 0.2
FETCH_SECONDS = 1.0
ROWS_SECONDS = 1.0
BEAT_SECONDS = 5.0
SAMPLE_SECONDS = 15.0
ROLL_SECONDS = 60.0
DEVICES_SECONDS = 60.0  # the devices' health
TICK_SECONDS = 1.0
SWEEP_SECONDS = 2.0
PLAN_SECONDS = 10.0  # between two plans that nobody asked for
ORPHAN_SECONDS = 10.0
MEMORY_SECONDS = 2.0
PROGRESS_SECONDS = 0.25
TIDY_SECONDS = 15.0
UNCLAIMED_SECONDS = 3.0  # then the agent starts a placed workload itself
BEGUN_SECONDS = 15.0  # then a start that brought no process is taken over
GRACE_SECONDS = {"kill": 5.0, "checkpoint": 600.0}  # between the polite signal and the last one
RETRY_SECONDS = 1.0
DISK_REFUSES = (errno.ENOSPC, errno.EDQUOT, errno.EIO)  # what may pass
TRUST_SECONDS = 60.0  # how long the database must have answered before others count as silent


@dataclass(slots=True)
class Followed:
    """What the agent remembers of a workload between two looks."""

    epoch: int
    seen_at: float = field(default_factory=time.monotonic)
    metrics_bytes: int = 0
    metrics_at: float = 0.0
    memory_at: float = 0.0


class Agent:
    """One node's agent."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.machine = Machine(Path(settings.TRAINER_HOME))
        self.driver: Runner = runner(settings.NODE_RUNNER, services.installation_id(name))
        self.engines: list[str] = []
        self.trouble = ""  # what keeps it from starting anything
        self.node_id = uuid.UUID(int=0)
        self.followed: dict[uuid.UUID, Followed] = {}
        self.rows: list[Workload] = []
        self.rows_at = 0.0
        self.orphans: dict[tuple[uuid.UUID, int], float] = {}
        self.heard_since = time.monotonic()
        self.shares_home = True
        self.carrier: Carrier | None = None  # on a node that does not share the directory
        self.devices_at = 0.0
        self.planned_at = 0.0
        self.leads = False  # whether this agent looks after what concerns all nodes

    async def run(self) -> None:
        """Works until it is cancelled."""
        await self._patiently(self.register)
        if settings.CONTROL_URL:
            await self._learn_whether_shared()
        reach = partial(node_reach_set, self.node_id, agent_url=forwarding.own_url())
        await self._patiently(reach)
        logger.info("node %s: agent works", self.name)
        loops: tuple[Coroutine[None, None, None], ...] = (
            *((self.carrier.run(), self._tidy_up()) if self.carrier else ()),
            self._every(FOLLOW_SECONDS, self.follow),
            self._every(BEAT_SECONDS, self.beat),
            self._every(SAMPLE_SECONDS, self.sample, later=True),
            self._every(ROLL_SECONDS, self.roll, later=True),
            self._every(TICK_SECONDS, self.tick),
            self._every(SWEEP_SECONDS, self.sweep),
            self._look_for_orphans(),
            forwarding.listen(self.name, self.socket_of),
            *((self._every(FETCH_SECONDS, self._fetch_step()),) if self.is_contained else ()),
        )
        async with asyncio.TaskGroup() as group:
            for loop in loops:
                group.create_task(loop)

    async def _every(
        self, seconds: float, step: Callable[[], None], *, later: bool = False
    ) -> None:
        if later:  # at once, a measurement would cover no time
            await asyncio.sleep(MEMORY_SECONDS)
        while True:
            await self._patiently(step)
            await asyncio.sleep(seconds)

    async def _patiently(self, step: Callable[[], None]) -> None:
        """Runs a step, again and again while database or disk refuse."""
        while True:
            try:
                await sync_to_async(step)()
            except Error as error:
                logger.warning("node %s: the database does not answer: %s", self.name, error)
                self.heard_since = time.monotonic()
                await sync_to_async(lambda: connection.close())()  # that thread's, not this one's
                await asyncio.sleep(RETRY_SECONDS)
            except OSError as error:
                if error.errno not in DISK_REFUSES:
                    raise
                logger.warning("node %s: the disk takes nothing: %s", self.name, error)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return

    @property
    def is_contained(self) -> bool:
        """Whether what runs here runs in containers."""
        return settings.NODE_RUNNER == "docker"

    def _fetch_step(self) -> Callable[[], None]:
        """What brings images here."""
        from nodes.fetching import Fetcher  # see `nodes.runners.runner`

        fetcher = Fetcher()

        def step() -> None:
            node = Node.objects.filter(pk=self.node_id).first()
            if node is not None and not self.trouble:
                fetcher.step(node)

        return step

    def offer(self) -> tuple[list[str], dict[str, Any]]:
        """Engines that can start here, and facts about the runner; of those `trouble` stops all."""
        try:
            facts = self.driver.check()
            engines = (
                services.engines_of_images() if self.is_contained else services.engines_installed()
            )
        except (Unreachable, Unfit) as error:
            if str(error) != self.trouble:
                logger.warning("node %s: %s", self.name, error)
            self.trouble = str(error)
            return self.engines, {"trouble": self.trouble}
        self.trouble, self.engines = "", engines
        return engines, {**facts, "trouble": ""}

    def register(self) -> None:
        """Enters the node with what it has. Raises DomainError when it may not."""
        self.machine.load()  # the next answer covers the time since this one, in this thread
        engines, facts = self.offer()
        node = services.node_register(
            self.name,
            runner=settings.NODE_RUNNER,
            cpu_count=self.machine.cpu_count,
            memory_bytes=self.machine.memory_bytes,
            disk_bytes=self.machine.disk_bytes,
            facts={**self.machine.facts(), **facts, "engines": engines, "version": VERSION},
            devices=self._devices(),
            address=socket.gethostname(),
            shares_home=not settings.CONTROL_URL,
            identity=machines.Identity(
                machine=machine_id(), key=settings.NODE_KEY, clock=timezone.now()
            ),
        )
        self.node_id, self.shares_home = node.pk, node.shares_home
        services.images_give_back(node)

    async def _learn_whether_shared(self) -> None:
        """Compares the directory with the control plane's, as soon as that answers.

        What a node learnt once is true until it learns otherwise: an agent that is started again
        while the control plane is away goes on at once.
        """
        key = node_key(self.name)
        while True:
            try:
                mark = await asyncio.to_thread(home_of_control, settings.CONTROL_URL, key)
            except (Away, Refused) as error:
                logger.warning("node %s: the control plane does not answer: %s", self.name, error)
                if carrier_made() or self.shares_home:
                    break
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self.shares_home = mark == home_id(make=False)
                shares = partial(node_shares_home_set, self.node_id, shares=self.shares_home)
                await self._patiently(shares)
                break
        if not self.shares_home:
            self.carrier = carrier_make(settings.CONTROL_URL, key)

    def _devices(self) -> list[machines.Device]:
        self.devices_at = time.monotonic()
        return [
            machines.Device(
                gpu.index, gpu.uuid, gpu.name, gpu.memory_bytes, gpu.health, gpu.health_codes
            )
            for gpu in self.machine.gpus()
        ]

    def socket_of(self, workload: uuid.UUID) -> Path | None:
        """Where a service of this node listens; None for what is none."""
        found = [row for row in self.rows if row.pk == workload and row.is_service]
        return found[0].socket_path if found else None

    def beat(self) -> None:
        """The sign of life, and from time to time how the devices are.

        Raises `NodeRemoved`; enters the node again if its row is gone altogether.
        """
        due = time.monotonic() - self.devices_at > DEVICES_SECONDS
        engines, facts = self.offer()
        beat = partial(
            services.node_beat, self.node_id, engines=engines, facts=facts, clock=timezone.now()
        )
        try:
            beat(devices=self._devices() if due else None)
        except services.NodeRemoved:
            raise
        except DomainError as refused:
            logger.warning("node %s: devices refused: %s", self.name, refused.message)
            beat()
        except Node.DoesNotExist:
            self.register()
        self._renew_leases()

    def _renew_leases(self) -> None:
        """Lets go on what is this node's after the beat; what was given up meanwhile stays held."""
        for row in Workload.objects.active().filter(node_id=self.node_id).only("epoch"):
            self.driver.renew(follow.place_of(row))

    def sample(self) -> None:
        """A point of the curves, what the driver complains of, and what is wrong by now."""
        figures = self.machine.load().figures()
        self._name_processes(figures["gpus"])
        try:
            services.sample_record(self.node_id, figures)
        except DomainError as refused:  # a driver that tells nonsense must not end the agent
            logger.warning("node %s: measurement refused: %s", self.name, refused.message)
        except Node.DoesNotExist:
            return
        services.faults_note(self.node_id, self.machine.faults())
        services.alerts_measure(self.node_id)

    def _name_processes(self, gpus: list[dict[str, Any]]) -> None:
        """Says of the processes on GPUs to which of the node's workloads they belong."""
        processes = [process for load in gpus for process in load.get("processes", ())]
        if not processes:
            return
        mine = {row.pk for row in self.rows}
        owners = {pid: workload for workload, _epoch, pid in self.driver.owned()}
        for process in processes:
            for pid in (process["pid"], *ancestors(process["pid"])):
                if owners.get(pid) in mine:
                    process["workload"] = str(owners[pid])
                    break

    def roll(self) -> None:
        """Makes the long curves and keeps their table small."""
        services.samples_roll(self.node_id)

    def tick(self) -> None:
        """Lets others do regularly what services need: where one is, and on the node that leads."""
        if self.leads or any(row.is_service for row in self.rows):
            agent_tick.send_robust(sender=Agent, node_id=self.node_id)

    def sweep(self) -> None:
        """The safety net for all nodes; one agent's is enough."""
        self.leads = services.node_leads(self.node_id)
        if self.leads:
            judge = time.monotonic() - self.heard_since > TRUST_SECONDS
            due = time.monotonic() - self.planned_at > PLAN_SECONDS
            self.planned_at = time.monotonic() if due else self.planned_at
            services.nodes_sweep(judge=judge, plan=due)
            if judge:
                services.alerts_silence()

    def follow(self) -> None:
        """Looks at every workload that has its place here."""
        now = time.monotonic()
        if now - self.rows_at >= ROWS_SECONDS:
            rows = Workload.objects.active().filter(node_id=self.node_id)
            self.rows, self.rows_at = list(rows.select_related("node")), now
            if self.carrier is not None:
                self.carrier.look(self.rows)
            present = {row.pk for row in self.rows}
            self.followed = {pk: one for pk, one in self.followed.items() if pk in present}
        for row in list(self.rows):
            try:
                self._look_at(row, now)
            except Unreachable as error:  # nothing is known of it, so nothing is concluded
                self.trouble = str(error)

    def _look_at(self, row: Workload, now: float) -> None:
        known = self.followed.get(row.pk)
        if known is None or known.epoch != row.epoch:
            known = self.followed[row.pk] = Followed(row.epoch)
        if row.state == State.PLACED:
            self._start_if_nobody_does(row)
            return
        place = follow.place_of(row)
        sight, exit_ = self.driver.poll(place)
        if self.carrier is None:
            self._report_progress(row, known, now, last=sight is not Sight.ALIVE)
        elif self._is_carried(self.carrier, row, known, sight):
            return
        if sight is Sight.ENDED and exit_ is not None:
            services.workload_ended(row.pk, row.epoch, exit_)
            self._forget(row)
            self._clear(row, place)
        elif sight is Sight.GONE:
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
            return not carrier.is_home(row)
        if sight is not Sight.ABSENT or row.state != State.STARTING:
            return False
        try:
            inputs = carrier.inputs_of(row)
        except NotBrought as error:
            why = _("Its inputs could not be brought to %(node)s: %(error)s")
            reason = why % {"node": self.name, "error": error}
            services.workload_end(row.pk, row.epoch, outcome=Workload.Outcome.ERROR, reason=reason)
            self._forget(row)
            return True
        if inputs is not None:
            known.seen_at = time.monotonic()
            follow.workload_launch(row, inputs)
            self.rows_at = 0.0
        return True

    async def _tidy_up(self) -> None:
        """Removes what ended workloads left on a node that does not share the directory."""
        carrier = self.carrier
        assert carrier is not None
        while True:
            await asyncio.sleep(TIDY_SECONDS)
            found = await asyncio.to_thread(carrier.left_over)
            await self._patiently(partial(self._leave_active, found))
            for workload in found:
                await asyncio.to_thread(carrier.tidy_up, workload)

    def _leave_active(self, found: set[uuid.UUID]) -> None:
        """Takes those out that may still write something here."""
        active = Workload.objects.active().filter(pk__in=found, node_id=self.node_id)
        found.difference_update(active.values_list("pk", flat=True))

    def _forget(self, row: Workload) -> None:
        self.rows = [other for other in self.rows if other.pk != row.pk]

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
            size = row.metrics_path.stat().st_size
        except OSError:
            return
        if size == known.metrics_bytes or (now - known.metrics_at < PROGRESS_SECONDS and not last):
            return
        known.metrics_bytes, known.metrics_at = size, now
        workload_progressed.send_robust(sender=Workload, workload_id=row.pk)

    async def _look_for_orphans(self) -> None:
        while True:
            with suppress(Unreachable):
                found = await asyncio.to_thread(lambda: list(self.driver.owned()))
                pairs = {(workload, epoch) for workload, epoch, _pid in found}
                await self._patiently(partial(self.remove_orphans, pairs))
            await asyncio.sleep(ORPHAN_SECONDS)

    def remove_orphans(self, found: set[tuple[uuid.UUID, int]]) -> None:
        """Ends processes that no workload of this node accounts for: politely, then for good."""
        wanted = set(
            Workload.objects.filter(node_id=self.node_id)
            .exclude(state__in=(State.ENDED, State.WAITING))
            .values_list("pk", "epoch")
        )
        orphans = found - wanted
        now = time.monotonic()
        self.orphans = {pair: self.orphans.get(pair, now) for pair in orphans}
        for (workload, epoch), since in self.orphans.items():
            age = now - since
            if age == 0.0:
                continue  # it may be on its way out: it gets one more round
            logger.warning("node %s: ends orphan %s epoch %s", self.name, workload, epoch)
            self.driver.remove(workload, epoch, force=age > 1.5 * ORPHAN_SECONDS)


async def run(name: str, until: Coroutine[None, None, object]) -> None:
    """Runs the agent of this node until the coroutine `until` ends.

    Raises DomainError when the node may not, or not any more, be one.
    """
    agent = asyncio.create_task(Agent(name).run())
    waiter = asyncio.create_task(until)
    done, pending = await asyncio.wait({agent, waiter}, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    for task in done:
        try:
            task.result()
        except BaseExceptionGroup as group:
            refused = group.subgroup(DomainError)
            raise (_first(refused) if refused is not None else group) from None


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The refusal inside a group of groups."""
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
