"""What can happen to a cluster. Each blow strikes, says for how many seconds, and heals after."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from random import Random

from django.utils import timezone

from tests.chaos.machines import GATEWAY, Machine, Part, until
from tests.chaos.world import LOST_SECONDS, Expectation, World

Blow = Callable[[World, Random], Iterator[tuple[str, float]]]
BLOWS: dict[str, Blow] = {}
FIRST = {"priority": 100, "cpus": 0.01}  # comes before what waits, and beside what runs
BOMB = """
import time
while True:
    try:
        os.fork()
    except OSError:
        time.sleep(5)
"""
HIT_STEPS = 25  # of the training between two hits: more than between two checkpoints


def blow(function: Blow) -> Blow:
    """Enters a blow under its name."""
    BLOWS[function.__name__] = function
    return function


def _started_again(part: Part, seconds: float) -> Iterator[tuple[str, float]]:
    part.kill()
    yield part.name, seconds
    part.start()


@blow
def web(world: World, chance: Random) -> Iterator[tuple[str, float]]:
    """Pages, API and sockets; nodes bring their logs there."""
    yield from _started_again(world.web, chance.uniform(1, 8))


@blow
def control(world: World, chance: Random) -> Iterator[tuple[str, float]]:
    """The control worker."""
    yield from _started_again(world.control, chance.uniform(1, 8))


@blow
def worker(world: World, chance: Random) -> Iterator[tuple[str, float]]:
    """A node's worker."""
    yield from _started_again(chance.choice(world.nodes).parts["node_worker"], chance.uniform(1, 8))


@blow
def half_worker(world: World, chance: Random) -> Iterator[tuple[str, float]]:
    """Only the first process of a node's worker: the others go on, beside those of the next."""
    part = chance.choice(world.nodes).parts["node_worker"]
    left = part.tree()
    os.kill(left[-2].pid, signal.SIGKILL)  # the last one is what brought it onto its machine
    yield f"first process of the {part.name}", chance.uniform(1, 4)
    part.process = None
    part.start()
    time.sleep(chance.uniform(4, 10))
    for process in left:
        if process.is_running():
            process.kill()


@blow
def agent(world: World, chance: Random) -> Iterator[tuple[str, float]]:
    """A node's agent."""
    yield from _started_again(chance.choice(world.nodes).parts["node_agent"], chance.uniform(1, 8))


@blow
def redis(world: World, chance: Random) -> Iterator[tuple[str, float]]:
    """Redis."""
    yield from _started_again(world.redis, chance.uniform(1, 8))


@blow
def postgres(world: World, chance: Random) -> Iterator[tuple[str, float]]:
    """PostgreSQL, all of its processes."""
    yield from _started_again(world.postgres, chance.uniform(1, 8))


@blow
def engine(world: World, chance: Random) -> Iterator[tuple[str, float]]:
    """A node's Docker Engine; its containers go on."""
    node = chance.choice(world.engines)
    node.engine_kill()
    yield f"dockerd of {node.name}", chance.uniform(1, 8)
    node.engine().start()


@blow
def network(world: World, chance: Random) -> Iterator[tuple[str, float]]:
    """The network of a node, for so short that nobody gives it up."""
    node = chance.choice(world.nodes)
    node.cut()
    yield f"network of {node.name}", chance.uniform(5, 30)
    node.mend()


@blow
def silence(world: World, chance: Random) -> Iterator[tuple[str, float]]:
    """The network of a node, for so long that its work is given up and goes on elsewhere."""
    node = chance.choice(world.engines)
    world.excuse(node, "lost")
    node.cut()
    yield f"network of {node.name}", LOST_SECONDS + chance.uniform(15, 30)
    node.mend()


@blow
def power(world: World, chance: Random) -> Iterator[tuple[str, float]]:
    """A whole node; not the one that trains, which is hit on its own."""
    yield from _without_power(world, chance.choice(world.engines or world.nodes), chance)


def _without_power(world: World, node: Machine, chance: Random) -> Iterator[tuple[str, float]]:
    world.excuse(node, "lost")
    node.power_off()
    yield f"power of {node.name}", chance.uniform(1, 12)
    node.boot()


@blow
def training(world: World, chance: Random) -> Iterator[tuple[str, float]]:
    """The node that trains, once the training has gone on since the last time."""
    before = world.job.get("step", 0)
    try:
        until(lambda: world.step() >= before + HIT_STEPS, 400, "the training goes on")
    except AssertionError as error:
        raise AssertionError(
            f"{error}: {world.platform.call('GET', world.job_path, key=world.key)}"
        ) from error
    world.job["step"] = world.step()
    world.job["hits"] = world.job.get("hits", 0) + 1
    yield from _without_power(world, world.trainer, chance)


@blow
def disk(world: World, chance: Random) -> Iterator[tuple[str, float]]:
    """A node's disk is full. What comes there later waits again; only what ran already may fail."""
    node = chance.choice(world.engines)
    big, began = node.home / "big", timezone.now()
    fill = "dd if=/dev/zero bs={0} oflag=append conv=notrunc of={1} 2>/dev/null"
    steps = [fill.format(size, big) for size in ("64k", "1k")]  # the last block, too
    node.inside("sh", "-c", f"{'; '.join(steps)}; sync; true")
    world.excuse(node, "error", since=began)
    yield f"disk of {node.name} full", chance.uniform(5, 15)
    node.inside("rm", "-f", str(big))


@blow
def clock(world: World, chance: Random) -> Iterator[tuple[str, float]]:
    """A node's clock jumps by hours, and back. Simulated, for its agent only."""
    node = chance.choice(world.nodes)
    hours = chance.choice((-5, -2, 2, 5))
    node.parts["node_agent"].kill()
    node.part("node_agent", clocked=True).start()
    yield f"simulated clock of {node.name} runs", chance.uniform(4, 6)
    node.clock.write_text(f"{hours:+}h")
    yield f"clock of {node.name} by {hours:+} h", chance.uniform(5, 20)
    node.clock.write_text("+0")
    yield f"clock of {node.name} back", chance.uniform(4, 6)
    node.parts["node_agent"].kill()
    node.part("node_agent").start()


@blow
def messages(world: World, chance: Random) -> Iterator[tuple[str, float]]:
    """All messages of what runs come again, and some old ones, also to the wrong nodes."""
    from django_q.tasks import async_task

    from nodes.models import Node, Workload

    rows = Workload.objects.values_list("pk", "epoch")
    old = list(rows.filter(state="ended"))
    old = [*rows.exclude(state="ended"), *chance.sample(old, min(12, len(old)))]
    for node in Node.objects.all():
        for pk, epoch in old:
            for number in {epoch, max(0, epoch - 1)}:
                for task in ("workload_start", "workload_stop"):
                    async_task(f"nodes.tasks.{task}", str(pk), number, cluster=node.queue)
    yield "messages doubled", 1


@blow
def late(world: World, chance: Random) -> Iterator[tuple[str, float]]:
    """Messages come when the agents have long done what they say: all queues stood still."""
    workers = [node.parts["node_worker"] for node in world.nodes]
    for part in workers:
        part.kill()
    yield "messages late", chance.uniform(5, 15)
    for part in workers:
        part.start()


@blow
def deaf(world: World, chance: Random) -> Iterator[tuple[str, float]]:
    """A container that ignores SIGTERM is cancelled, or its time is over."""
    from nodes.services import workload_stop

    config = {"steps": 400, "seconds": 0.5, "ignore_stop": True}
    if chance.choice((True, False)):
        end = Expectation({"timeout": "time limit"})
        world.submit("deaf, with little time", config, end, wall_seconds=10, **FIRST)
        yield "a container that ignores SIGTERM, its time is over", chance.uniform(5, 15)
        return
    one = world.submit("deaf, cancelled", config, Expectation({"stopped": "Nobody"}), **FIRST)
    log = one.log_path
    until(lambda: log.exists() and "step 1\n" in log.read_text(), 120, "start of the deaf one")
    workload_stop(one.pk, mode="kill", reason="Nobody wants it.")
    yield "a container that ignores SIGTERM, cancelled", chance.uniform(5, 15)


@blow
def hog(world: World, chance: Random) -> Iterator[tuple[str, float]]:
    """A container that takes four times the memory it may have."""
    end = Expectation({"oom": "memory"})
    config = {"steps": 1, "hold_mib": 512}
    world.submit("memory hog", config, end, memory_limit_bytes=128 * 2**20, **FIRST)
    yield "a memory hog", chance.uniform(5, 15)


@blow
def bomb(world: World, chance: Random) -> Iterator[tuple[str, float]]:
    """A fork bomb, which meets the limit of processes and ends with its time, or that of memory."""
    end = Expectation({"timeout": "time limit", "oom": "memory"})
    config = {"steps": 1, "code": BOMB}
    world.submit("fork bomb", config, end, wall_seconds=25, **FIRST)
    yield "a fork bomb", chance.uniform(25, 35)


@blow
def image(world: World, chance: Random) -> Iterator[tuple[str, float]]:
    """An image of the list that cannot be pulled: nobody answers where it lies."""
    from nodes import services
    from nodes.models import Image
    from nodes.runners.images import Found

    name = f"{GATEWAY}:1/absent"
    if not Image.objects.filter(engine="absent").exists():
        row, nowhere = services.image_build_begin(f"{name}:1"), f"sha256:{0:064x}"
        services.image_ready(row.pk, Found(nowhere, f"{name}@{nowhere}", 10, "absent"))
    end = Expectation({"error": "could not be fetched"})
    world.submit("image that is nowhere", {"steps": 1}, end, engine="absent", **FIRST)
    yield "an image that cannot be pulled", chance.uniform(10, 25)
