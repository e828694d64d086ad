"""Stands beside one engine process for as long as that lives, and writes down how it ended.

Run as ``python -I -S shim.py`` with the description of the start as JSON on the standard input. It
needs the standard library only and imports little, so that it is there in about 20 ms. It detaches
itself, writes `process-<epoch>.json` before the engine's first instruction, keeps the time limit
even when nothing else of the platform is alive, leaves no process of the engine behind, and writes
`exit-<epoch>.json` as its last act. It returns to its caller with 0 once the engine is on its way.

The start's marker is a lease, which the node's agent renews by touching it. When nobody has for
`lease_seconds`, others may soon take the node for lost and start the work elsewhere: the engine is
held still until the lease is renewed, so that it never works in two places at once. A full disk
keeps it from nothing: it acts before it says so, and has room for its last file.

In a container it is the first program: the description is its argument, the environment is the
container's own, and it stays, and ends with the engine's status.
"""

import errno
import json
import os
import signal
import sys
import time
from contextlib import suppress

KILL_GRACE_SECONDS = 30.0  # between the polite and the final signal at the time limit
LEASE_LOOK_SECONDS = 5.0
LEFT_OVER_SECONDS = 2.0  # for processes that outlive the engine's main one
ROOM_BYTES = 4096  # for the facts of an end, taken at the start
REPORT_SECONDS = 600.0  # how long the end is tried to be written down
EXIT_NOT_STARTED = 127
DISK_REFUSES = (errno.ENOSPC, errno.EDQUOT, errno.EIO)  # what may pass
PR_SET_CHILD_SUBREAPER = 36
CONTAINER_EVENTS = (  # of control groups, second and first version
    "/sys/fs/cgroup/memory.events",
    "/sys/fs/cgroup/memory/memory.oom_control",
)
V1 = "/sys/fs/cgroup/memory/memory"  # how the first version's files' names begin

Json = dict[str, object]


def start_time_of(pid: int) -> int:
    """The kernel's start time of a process, in clock ticks since the boot; 0 when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123  pathlib costs 10 ms
            # The name stands in parentheses and may hold anything; the 20th field after it counts.
            return int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return 0


def boot_id() -> str:
    """What differs after each boot, so that a number of a process is not taken for another's."""
    with suppress(OSError), open("/proc/sys/kernel/random/boot_id") as file:  # noqa: PTH123
        return file.read().strip()
    return ""


def draft(path: str, content: Json) -> str:
    """Writes beside the file, over what is there, which a full disk takes too; the draft's path."""
    beside = f"{path}.{os.getpid()}"
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT, 0o666), "wb") as file:
        file.write(json.dumps(content).encode().ljust(ROOM_BYTES))  # to JSON blanks are nothing
        file.flush()
        os.fsync(file.fileno())
    return beside


def write_atomically(path: str, content: Json) -> None:
    """A reader sees the whole file or none."""
    os.replace(draft(path, content), path)  # noqa: PTH105


def oom_kills(*, contained: bool, event: str = "oom_kill") -> int:
    """How often the kernel ended a process for memory: of this container, else on the machine."""
    total = 0
    for path in CONTAINER_EVENTS if contained else (_memory_events(), "/proc/vmstat"):
        with suppress(OSError, ValueError), open(path) as file:  # noqa: PTH123
            for line in file:
                name, _, count = line.partition(" ")
                if name == event:
                    total += int(count)
    return total


def has_met_limit(max_rss: int) -> bool:
    """Whether this container wanted more memory than its own limit, however full the machine is.

    The first version counts files that were read, too: then a process has to have held half of it.
    Its count of failures stays 0 where the system ended somebody.
    """
    try:
        with open(f"{V1}.max_usage_in_bytes") as most, open(f"{V1}.limit_in_bytes") as limit:  # noqa: PTH123
            full = int(limit.read())
            return int(most.read()) >= full < 2 * max_rss
    except (OSError, ValueError):  # the second version counts it by itself
        return oom_kills(contained=True, event="oom") > 0


def _memory_events() -> str:
    with suppress(OSError, ValueError), open("/proc/self/cgroup") as file:  # noqa: PTH123
        for line in file:
            number, controllers, group = line.rstrip("\n").split(":", 2)
            if number == "0":
                return f"/sys/fs/cgroup{group}/memory.events"
            if "memory" in controllers.split(","):
                return f"/sys/fs/cgroup/memory{group}/memory.oom_control"
    return ""


def adopt_orphans() -> None:
    """Makes this process the parent of every descendant whose own parent ends."""
    with suppress(ImportError, OSError, AttributeError):  # then only its own group is tidied up
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Watch:
    """The engine process of one start."""

    def __init__(self, spec: Json) -> None:
        self.spec = spec
        self.pid = 0
        self.code: int | None = None
        self.signal: int | None = None
        self.max_rss = 0
        self.timeout = False
        self.started_at = time.time()
        self.contained = bool(spec.get("contained"))
        self.kills_before = oom_kills(contained=self.contained)
        lease = spec.get("lease_seconds")
        self.lease_seconds = float(str(lease)) if lease else None
        self.renewed, self.renewed_at = self.marked(), since_boot()
        self.is_held = False

    def text(self, name: str) -> str:
        return str(self.spec[name])

    def say(self, line: str) -> None:
        """Adds a line of ours to the workload's log, if the disk takes it."""
        with suppress(OSError), open(self.text("log"), "ab") as log:  # noqa: PTH123
            log.write(f"trainer: {line}\n".encode())

    def spawn(self) -> None:
        """Starts the engine in a group of its own; it waits until its identity is on the disk."""
        draft(self.text("exit_file"), {})
        gate, opener = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(opener)
            self._become_engine(gate)
        os.close(gate)
        with suppress(OSError):  # the child was faster
            os.setpgid(self.pid, self.pid)
        write_atomically(self.text("process_file"), self._identity())
        os.write(opener, b"1")
        os.close(opener)

    def _identity(self) -> Json:
        me = os.getpid()
        return {
            "workload": self.spec["workload"],
            "epoch": self.spec["epoch"],
            "pid": me,
            "start_time": start_time_of(me),
            "boot_id": boot_id(),
            "pgid": self.pid,
            "engine_start_time": start_time_of(self.pid),
            "command": self.spec["command"],
            "started_at": self.started_at,
        }

    def _become_engine(self, gate: int) -> None:
        try:
            os.setpgid(0, 0)
            os.chdir(self.text("directory"))
            log = os.open(self.text("log"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
            nothing = os.open(os.devnull, os.O_RDONLY)
            if not os.read(gate, 1):
                os._exit(EXIT_NOT_STARTED)
            for target, source in ((0, nothing), (1, log), (2, log)):
                os.dup2(source, target)
            os.closerange(3, 256)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            command = [str(part) for part in self.spec["command"]]  # type: ignore[attr-defined]
            os.execve(command[0], command, self.spec["env"])  # type: ignore[arg-type]  # noqa: S606
        except OSError as error:
            os.write(2, f"trainer: could not start the engine: {error}\n".encode())
        finally:
            os._exit(EXIT_NOT_STARTED)

    def follow(self) -> None:
        """Waits for the end of the engine's main process, and keeps time limit and lease."""
        wall = self.spec.get("wall_seconds")
        deadline = time.monotonic() + float(str(wall)) if wall else None
        forced = False
        watched = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT}
        look = 3600.0 if self.lease_seconds is None else min(LEASE_LOOK_SECONDS, self.lease_seconds)
        while not self.reap():
            left = look if deadline is None else min(look, max(0.0, deadline - time.monotonic()))
            news = signal.sigtimedwait(watched, left)
            self.keep_lease()
            if news is not None and news.si_signo in (signal.SIGTERM, signal.SIGINT):
                # Whoever ends it without having renewed the lease does not want it to go on.
                self.send(signal.SIGKILL if self.is_held else signal.SIGTERM)
            if deadline is None or time.monotonic() < deadline:
                continue
            if not self.timeout:
                self.timeout = True
                self.send(signal.SIGTERM)
                self.say(f"the time limit of {wall} s is over, stopping")
                deadline = time.monotonic() + KILL_GRACE_SECONDS
            elif not forced:
                forced = True
                self.send(signal.SIGKILL)
                deadline = None

    def keep_lease(self) -> None:
        """Holds the engine still while nobody renews its lease. Clocks that jump do not matter."""
        if self.lease_seconds is None:
            return
        now, renewed = since_boot(), self.marked()
        if renewed != self.renewed:
            self.renewed, self.renewed_at = renewed, now
            if self.is_held:
                self.is_held = False
                self.hold(signal.SIGCONT)
                self.say("the node is heard of again, going on")
        elif not self.is_held and now - self.renewed_at > self.lease_seconds:
            self.is_held = True
            self.hold(signal.SIGSTOP)
            self.say(f"the node was not heard of for {self.lease_seconds:.0f} s, holding still")

    def marked(self) -> int:
        """When the marker was touched last, as its file system says."""
        try:
            return os.stat(self.text("marker")).st_mtime_ns  # noqa: PTH116
        except OSError:
            return 0

    def hold(self, number: int) -> None:
        """Stops or continues the engine and all that comes from it, also in other groups."""
        done: set[int] = set()
        while news := set(descendants()) - done:  # one that is not stopped yet may bring others
            for pid in news:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)
            done |= news

    def send(self, number: int) -> None:
        """Signals the engine's whole group."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def reap(self) -> bool:
        """Collects ended children; whether the engine's main process is among the ended."""
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            self.max_rss = max(self.max_rss, usage.ru_maxrss * 1024)
            if pid == self.pid:
                if os.WIFSIGNALED(status):
                    self.signal = os.WTERMSIG(status)
                else:
                    self.code = os.WEXITSTATUS(status)
        return self.code is not None or self.signal is not None

    def tidy_up(self) -> None:
        """Ends what the engine left behind, in its group or outside of it."""
        for number, seconds in ((signal.SIGTERM, LEFT_OVER_SECONDS), (signal.SIGKILL, 1.0)):
            self.send(number)
            for pid in children():
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    continue
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                self.reap()
                if not children():
                    return
                time.sleep(0.02)

    def report(self) -> None:
        """The last act. While the disk does not take it, this process stays and tries again."""
        killed = self.signal == signal.SIGKILL or self.code == 128 + signal.SIGKILL
        # In a container no other's memory is counted: any failure after a kill is due to it.
        suspect = self.status() != 0 if self.contained else killed
        content: Json = {
            "epoch": self.spec["epoch"],
            "code": self.code,
            "signal": self.signal,
            "started_at": self.started_at,
            "ended_at": time.time(),
            "max_rss_bytes": self.max_rss,
            "oom": suspect
            and not self.timeout
            and oom_kills(contained=self.contained) > self.kills_before,
            "met_limit": self.contained and has_met_limit(self.max_rss),
            "timeout": self.timeout,
        }
        until = since_boot() + REPORT_SECONDS
        while True:
            try:
                write_atomically(self.text("exit_file"), content)
            except OSError as error:
                if error.errno not in DISK_REFUSES or since_boot() > until:
                    raise
                time.sleep(1.0)
            else:
                return

    def status(self) -> int:
        """The engine's status as a shell would give it."""
        return 128 + self.signal if self.signal is not None else self.code or 0


def children(pid: int | None = None) -> list[int]:
    """The direct children of a process, by default of this one."""
    found: list[int] = []
    tasks = f"/proc/{pid or os.getpid()}/task"
    with suppress(OSError, ValueError):
        for thread in os.listdir(tasks):  # noqa: PTH208
            with open(f"{tasks}/{thread}/children") as file:  # noqa: PTH123
                found += map(int, file.read().split())
    return found


def descendants() -> list[int]:
    """All that comes from this process, parents before their children."""
    found = children()
    for pid in found:  # it grows on the way
        found += children(pid)
    return found


def since_boot() -> float:
    """Seconds that also pass while the machine sleeps, and that no clock can change."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def is_called_off(marker: str) -> bool:
    """Whether somebody else has taken this start over in the meantime."""
    with suppress(OSError), open(marker) as file:  # noqa: PTH123
        return file.read() == "void"
    return True


def detach() -> int:
    """Leaves the caller's session. Returns what to write to once all works."""
    gate, opener = os.pipe()
    if os.fork():
        os.close(opener)
        os._exit(0 if os.read(gate, 1) else 1)
    os.close(gate)
    os.setsid()
    return opener


def main() -> None:
    """Reads the description and stays until the engine has ended."""
    contained = len(sys.argv) > 1
    spec = json.loads(sys.argv[1]) if contained else json.load(sys.stdin)
    if contained:
        spec["env"] = dict(os.environ)
    opener = -1 if contained else detach()
    blocked = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    if is_called_off(str(spec["marker"])):
        os._exit(1)
    os.umask(0o027)
    adopt_orphans()
    watch = Watch(spec)
    watch.spawn()
    if not contained:
        tell(opener)
    watch.follow()
    watch.tidy_up()
    watch.report()
    os._exit(watch.status())


def tell(opener: int) -> None:
    """Lets the caller go, and holds nothing of what it gave."""
    os.write(opener, b"1")
    nothing = os.open(os.devnull, os.O_RDWR)
    for target in (0, 1, 2, opener):
        os.dup2(nothing, target)


if __name__ == "__main__":
    main()
