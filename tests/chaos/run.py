"""A random schedule of blows against a cluster under load, and what became of the work.

    python -m tests.chaos.run --seed 7 --blows 20 [--only power,silence] [--no-training]

Run as root. It needs PostgreSQL, Redis, a Docker Engine with the image TRAINER_TEST_BASE, and the
engine environment. Everything is started anew, in namespaces of its own, and is gone afterwards.
The exit status is 0 when nothing was lost, doubled or orphaned and no log or curve has a hole.
"""

import argparse
import ctypes
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.chaos.world import World

ROOT = Path(__file__).resolve().parents[2]
CLONE_NEWNET = 0x40000000
PAUSE = (2.0, 12.0)  # seconds between two blows
SETTLE_SECONDS = 420.0
HITS = 3


def main() -> int:
    """Strikes, waits, looks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--blows", type=int, default=20)
    parser.add_argument("--only", default="", help="names of blows, separated by commas")
    parser.add_argument("--no-training", action="store_true")
    options = parser.parse_args()
    with cluster() as world:
        return Chaos(world, options).run()


@contextmanager
def cluster(**kind: Any) -> Iterator["World"]:
    """A world not yet started, in a network of this process' own; Django is set up on it."""
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    os.chdir(ROOT)
    sys.path[:0] = [str(ROOT), str(ROOT / "platform")]
    from tests.chaos.world import World
    from tests.services import FAKETIME

    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() or libc.unshare(CLONE_NEWNET):
        sys.exit("This makes network namespaces and machines of its own: run it as root.")
    if not FAKETIME.exists():
        sys.exit(f"{FAKETIME} is missing: install libfaketime.")
    world = World(**kind)
    try:
        os.environ.update({name: world.env[name] for name in world.env if "TRAINER" in name})
        os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
        import django

        django.setup()
        yield world
    except BaseException:
        for log in sorted([*world.folder.glob("*.log"), *world.folder.glob("?/*.log")]):
            print(f"--- {log}\n{log.read_text(errors='replace')[-1500:]}", file=sys.stderr)
        raise
    finally:
        world.end()


class Striker:
    """Strikes a world under load, and watches."""

    look_seconds = 3.0

    def __init__(self, world: "World", chance: random.Random) -> None:
        from tests.chaos.audit import Watch

        self.world = world
        self.chance = chance
        self.watch = Watch(world)
        self.began = time.monotonic()

    def say(self, text: str) -> None:
        """A line with the seconds since the first blow."""
        print(f"{time.monotonic() - self.began:6.1f} s  {text}", flush=True)

    def strike(self, name: str) -> None:
        """One blow, from its beginning until it is healed."""
        from tests.chaos.blows import BLOWS

        for what, seconds in BLOWS[name](self.world, self.chance):
            self.say(f"{name}: {what}, for {seconds:.1f} s")
            self.wait(seconds, quiet=False)

    def wait(self, seconds: float, *, quiet: bool) -> None:
        """Goes on submitting and looking meanwhile, as far as the database answers."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.look(quiet=quiet, feed=True)
            time.sleep(min(self.look_seconds, max(0.0, left)))

    def look(self, *, quiet: bool, feed: bool) -> None:
        """Once."""
        from django.db import Error, connection

        try:
            if feed:
                self.world.feed(self.chance)
            self.watch.look(quiet)
        except Error:
            connection.close()

    def settle(self) -> None:
        """Until everything has ended.

        A training that goes on may take its time: how long depends on the machine.
        """
        from nodes.models import Workload

        deadline, step = time.monotonic() + SETTLE_SECONDS, 0
        while Workload.objects.exclude(state="ended").exists() and time.monotonic() < deadline:
            self.look(quiet=True, feed=False)
            time.sleep(self.look_seconds)
            if self.world.job and (now := self.world.step()) > step:
                deadline, step = time.monotonic() + SETTLE_SECONDS, now


class Chaos(Striker):
    """One run."""

    def __init__(self, world: "World", options: argparse.Namespace) -> None:
        super().__init__(world, random.Random(options.seed))
        self.seed = options.seed
        self.trains = not options.no_training
        self.plan = self._plan(options)

    def _plan(self, options: argparse.Namespace) -> list[str]:
        """Every blow once, in any order, before some come again."""
        from tests.chaos.blows import BLOWS

        names = [name for name in options.only.split(",") if name] or sorted(BLOWS)
        once = [name for name in names if name != "training"]
        plan: list[str] = []
        while once and len(plan) < options.blows:
            self.chance.shuffle(once)
            plan += once
        del plan[options.blows :]
        if self.trains and (not options.only or "training" in names):
            plan[:0] = HITS * ["training"]  # while it lasts
        return plan

    def run(self) -> int:
        """The exit status."""
        print(
            f"chaos: seed {self.seed}, {len(self.plan)} blows: {', '.join(self.plan)}", flush=True
        )
        self.world.start()
        self.world.people()
        if "training" in self.plan:
            self.world.furnish()
            self.world.train()
        self.began = time.monotonic()
        for name in self.plan:
            self.wait(self.chance.uniform(*PAUSE), quiet=True)
            self.strike(name)
        self.say("all is whole again; what was submitted ends now")
        self.settle()
        until = time.monotonic() + 65  # what is left of it then is an orphan
        while time.monotonic() < until:
            self.look(quiet=True, feed=False)
            time.sleep(self.look_seconds)
        return self._tell()

    def _tell(self) -> int:
        from nodes.models import Workload
        from tests.chaos.audit import audit, training

        rows = Workload.objects.filter(pk__in=self.world.submitted)
        outcomes = Counter(rows.values_list("outcome", flat=True))
        self.say(
            f"{len(self.world.submitted)} workloads, {len(self.watch.seen)} seen running: "
            + ", ".join(f"{count} {name or 'not ended'}" for name, count in outcomes.most_common())
        )
        found = audit(self.world, self.watch)
        found["training"] = training(self.world)
        for lines in found.values():
            for line in lines:
                print(f"  {line}")
        print(", ".join(f"{kind} {len(lines)}" for kind, lines in found.items()), flush=True)
        return int(any(found.values()))


if __name__ == "__main__":
    sys.exit(main())
