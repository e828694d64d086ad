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
from collections.abc import Callable, Coroutine, Set
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import Error, InterfaceError, OperationalError, connection
from django.utils import timezone

from common.errors import DomainError
from common.phrases import dump
from common.phrases import gettext as _
from common.version import VERSION
from nodes import forwarding, services
from nodes.following import Follower
from nodes.machine import Machine, lacks_room, machine_id
from nodes.models import Node, Workload
from nodes.runners import Unfit, Unreachable, runner
from nodes.runners.shim import since_boot
from nodes.services import follow, machines
from nodes.services.reach import node_reach_set
from nodes.services.sharing import home_id, node_key, node_shares_home_set
from nodes.signals import agent_tick
from nodes.staging.carrier import carrier_made, carrier_make
from nodes.staging.control import Away, Refused, home_of_control

logger = logging.getLogger(__name__)
State = Workload.State

FOLLOW_SECONDS = 0.2
FETCH_SECONDS = 1.0
BEAT_SECONDS = 5.0
SAMPLE_SECONDS = 15.0
ROLL_SECONDS = 60.0
FIRST_SECONDS = 2.0  # before the first measurement
DEVICES_SECONDS = 60.0  # the devices' health
TICK_SECONDS = 1.0
SWEEP_SECONDS = 2.0
PLAN_SECONDS = 10.0  # between two plans that nobody asked for
ORPHAN_SECONDS = 10.0
TIDY_SECONDS = 15.0
RETRY_SECONDS = 1.0
DISK_REFUSES = (errno.ENOSPC, errno.EDQUOT, errno.EIO)  # what may pass


class Agent(Follower):
    """One node's agent."""

    def __init__(self, name: str) -> None:
        super().__init__(name, runner(settings.NODE_RUNNER, services.installation_id(name)))
        self.machine = Machine(Path(settings.TRAINER_HOME))
        self.engines: list[str] = []
        self.missing_images: Set[uuid.UUID] = frozenset()
        self.orphans: dict[tuple[uuid.UUID, int], float] = {}
        self.witness = services.Witness()
        self.shares_home = True
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
            self._every(ROLL_SECONDS, services.images_cut_off, later=True),
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
            await asyncio.sleep(FIRST_SECONDS)
        while True:
            try:
                await self._patiently(step)
            except Error:  # what another try at once would meet again; the next round may not
                logger.exception("node %s: %s", self.name, step)
            await asyncio.sleep(seconds)

    async def _patiently(self, step: Callable[[], None]) -> None:
        """Runs a step, again and again while the database is away or the disk refuses."""
        while True:
            try:
                await sync_to_async(step)()
            except (OperationalError, InterfaceError) as error:
                logger.warning("node %s: the database does not answer: %s", self.name, error)
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
                self.missing_images = fetcher.missing

        return step

    def offer(self) -> tuple[list[str], dict[str, Any]]:
        """Engines that can start here, and facts about the runner; of those `trouble` stops all."""
        try:
            facts = self.driver.check()
            if self.is_contained:
                engines, images = services.images_offer(self.missing_images)
                facts |= images
            else:
                engines = services.engines_installed()
        except (Unreachable, Unfit) as error:
            self._note(str(error))
            return self.engines, {"trouble": dump(self.trouble)}
        self.engines = engines
        self._note(self._what_lacks(facts))
        return engines, {**facts, "trouble": dump(self.trouble)}

    def _note(self, trouble: str) -> None:
        if trouble and trouble != self.trouble:
            logger.warning("node %s: %s", self.name, trouble)
        self.trouble = trouble

    def _what_lacks(self, facts: dict[str, Any]) -> str:
        """What every start would fail of; empty when nothing is missing."""
        reserve = settings.NODE_RESERVE_BYTES
        for path in (settings.TRAINER_HOME, facts.get("docker_root")):
            if path and lacks_room(Path(path), reserve):
                return _(
                    "The disk of %(path)s is full: less than %(size)s MB, or no file, is free on"
                    " it. Make room there; how much has to stay free is set by %(setting)s."
                ) % {"size": reserve >> 20, "path": path, "setting": "TRAINER_NODE_RESERVE_BYTES"}
        return ""

    def register(self) -> None:
        """Enters the node with what it has. Raises DomainError when it may not."""
        self.machine.load()  # the next answer covers the time since this one, in this thread
        devices = self._devices()
        engines, facts = self.offer()
        node = services.node_register(
            self.name,
            runner=settings.NODE_RUNNER,
            cpu_count=self.machine.cpu_count,
            memory_bytes=self.machine.memory_bytes,
            disk_bytes=self.machine.disk_bytes,
            facts={**self.machine.facts(), **facts, "engines": engines, "version": VERSION},
            devices=devices,
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
        gpus = self.machine.gpus()
        self.devices_at = time.monotonic()
        return [
            machines.Device(
                gpu.index, gpu.uuid, gpu.name, gpu.memory_bytes, gpu.health, gpu.health_codes
            )
            for gpu in gpus
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
            with suppress(Unreachable):
                self._leave()
            raise
        except DomainError as refused:
            logger.warning("node %s: devices refused: %s", self.name, refused.message)
            beat()
        except Node.DoesNotExist:
            self.register()
        self._renew_leases()

    def _leave(self) -> None:
        """Takes away what it made here. A node that was removed holds nothing that may go on."""
        for workload, epoch, _pid in list(self.driver.owned()):
            self.driver.remove(workload, epoch, force=True)
        self.driver.leave()

    def _renew_leases(self) -> None:
        """Lets go on what is this node's after the beat; what was given up meanwhile stays held."""
        for row in Workload.objects.active().filter(node_id=self.node_id).only("epoch"):
            self.driver.renew(follow.place_of(row))

    def sample(self) -> None:
        """A point of the curves, what the driver complains of, and what is wrong by now."""
        figures = self.machine.load().figures()
        with suppress(Unreachable):  # then nobody knows whose they are, and all else is known
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
        owners = self.driver.owners({process["pid"] for process in processes})
        for process in processes:
            if owners.get(process["pid"]) in mine:
                process["workload"] = str(owners[process["pid"]])

    def roll(self) -> None:
        """Makes the long curves and keeps their table small."""
        services.samples_roll(self.node_id)

    def tick(self) -> None:
        """Lets others do regularly what services need: where one is, and on the node that leads."""
        if self.leads or any(row.is_service for row in self.rows):
            agent_tick.send_robust(sender=Agent, node_id=self.node_id)

    def sweep(self) -> None:
        """The safety net for all nodes; one agent's is enough, but all look who is silent.

        So the next one knows as much when the one that leads is gone.
        """
        self.witness.look(since_boot())
        self.leads = services.node_leads(self.node_id)
        if self.leads:
            due = time.monotonic() - self.planned_at > PLAN_SECONDS
            self.planned_at = time.monotonic() if due else self.planned_at
            services.nodes_sweep(self.witness, plan=due)
            services.alerts_silence(self.witness)

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
            await carrier.keep_reserve()

    def _leave_active(self, found: set[uuid.UUID]) -> None:
        """Takes those out that may still write something here."""
        active = Workload.objects.active().filter(pk__in=found, node_id=self.node_id)
        found.difference_update(active.values_list("pk", flat=True))

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
            try:
                self.driver.remove(workload, epoch, force=age > 1.5 * ORPHAN_SECONDS)
            except (Unreachable, OSError) as error:  # the others go all the same
                logger.warning("node %s: orphan %s stays: %s", self.name, workload, error)


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
