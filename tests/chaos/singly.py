"""Strikes a small cluster with one blow at a time, and says after each what is wrong.

Reads the names of blows, one a line. Each has a load of its own, under which it strikes; the answer
is a line of JSON with what the audit found, by kind. It runs as root, like `tests.chaos.run`, and
needs PostgreSQL, Redis and libfaketime; its nodes run the small engine as processes.
"""

import json
import random
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout

from tests.chaos.run import Striker, cluster


class Shortest(random.Random):
    """Of every stretch of time the shortest."""

    def uniform(self, a: float, b: float) -> float:
        """The lower end."""
        return a


class Single(Striker):
    """One blow and what becomes of the work that it meets."""

    look_seconds = 0.5

    def judged(self, name: str) -> dict[str, list[str]]:
        """What is wrong after it, by kind; all empty when all is well."""
        from tests.chaos.audit import ORPHAN_SECONDS, audit

        self._look_until(lambda: len(self.watch.seen) >= len(self.world.nodes), 60, feed=True)
        self.strike(name)
        self.look(quiet=True, feed=True)  # what comes after it has to be done, too
        self.settle()
        self._look_until(lambda: not self.watch.sees_left(), ORPHAN_SECONDS + 5, feed=False)
        self.say(f"{name}: {len(self.world.submitted)} workloads")
        return audit(self.world, self.watch)

    def _look_until(self, true: Callable[[], bool], seconds: float, *, feed: bool) -> None:
        """Whether or not it becomes true in time, which is for the audit to say."""
        deadline = time.monotonic() + seconds
        self.look(quiet=True, feed=feed)
        while not true() and time.monotonic() < deadline:
            time.sleep(self.look_seconds)
            self.look(quiet=True, feed=feed)


def main() -> None:
    """Says `{}` when the cluster works, and answers until nobody asks any more."""
    with cluster(contained="", bare="ab", sleeps=(2, 4)) as world:
        world.start()
        world.people()
        print("{}", flush=True)
        for line in sys.stdin:
            world.forget()
            with redirect_stdout(sys.stderr):
                found = Single(world, Shortest(1)).judged(line.strip())
            print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
