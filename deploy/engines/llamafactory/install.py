"""Install the LLaMA-Factory engine into a folder of its own.

Run with any Python 3.11 to 3.13, standard library only::

    python deploy/engines/llamafactory/install.py --target var/engines/llamafactory

The installation is made of steps. A finished step leaves a stamp with the hash of what it was made
from, so that a second run goes on where the first one ended and a run on a complete installation
returns at once. ``engine.json`` appears last: the engine is offered when that file is there.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[2]
DEFAULT_TARGET = REPOSITORY / "var" / "engines" / "llamafactory"

ENGINE_NAME = "llamafactory"
ENGINE_VERSION = "0.9.5"
TORCH = "torch==2.13.0"
RUNTIME = "trainer_runtime"
STAND_INS = "stand_ins"
FREE_BYTES_NEEDED = {"cpu": 5 * 1024**3, "cuda": 14 * 1024**3}
STEPS = 7


class InstallError(Exception):
    """Something the operator has to act on; the message says what to do."""


@dataclass(frozen=True)
class Plan:
    """Where the engine goes and what it is made of."""

    target: Path
    variant: str
    self_test: bool
    packages_only: bool

    @property
    def venv(self) -> Path:
        return self.target / "venv"

    @property
    def python(self) -> Path:
        return self.venv / "bin" / "python"

    @property
    def stamps(self) -> Path:
        return self.target / "stamps"

    @property
    def mark(self) -> Path:
        return self.target / "engine.json"

    @property
    def lock_file(self) -> Path:
        return HERE / "locks" / f"{self.variant}.txt"

    @property
    def site_packages(self) -> Path:
        major, minor = sys.version_info[:2]
        return self.venv / "lib" / f"python{major}.{minor}" / "site-packages"


class Progress:
    """Prints one line for each step, with the time since the start."""

    def __init__(self) -> None:
        self.started = time.monotonic()
        self.number = 0

    def say(self, text: str) -> None:
        print(f"[{time.monotonic() - self.started:6.1f} s] {text}", flush=True)

    def step(self, text: str) -> None:
        self.number += 1
        self.say(f"{self.number}/{STEPS} {text}")


def digest(*parts: str | Path) -> str:
    """Return one hash for texts, files and folders of source files."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            total.update(part.encode() + b"\0")
            continue
        files = [part] if part.is_file() else sorted(part.rglob("*"))
        for path in files:
            if path.is_file() and "__pycache__" not in path.parts:
                total.update(path.relative_to(part.parent).as_posix().encode() + b"\0")
                total.update(path.read_bytes() + b"\0")
    return total.hexdigest()


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old content or the new one, never a half."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def detected_variant() -> str:
    """Return ``cuda`` where an NVIDIA driver answers, else ``cpu``."""
    if Path("/proc/driver/nvidia/version").exists():
        return "cuda"
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "cpu"
    try:
        answer = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return "cpu"
    return "cuda" if answer.returncode == 0 and "GPU" in answer.stdout else "cpu"


def check_machine(plan: Plan, *, needs_download: bool) -> None:
    """Refuse early what would fail late."""
    if any(character.isspace() for character in str(plan.target)):
        raise InstallError(
            f"The target path contains a blank: {str(plan.target)!r}. The engine splits its "
            "command lines at blanks; choose a target folder without any."
        )
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        raise InstallError(
            f"The engine needs Python 3.11, 3.12 or 3.13; this is {platform.python_version()}. "
            "Run this script with one of those, for example: python3.11 install.py"
        )
    if sys.platform != "linux":
        raise InstallError(f"The engine runs on Linux only; this is {sys.platform}.")
    if needs_download:
        free = shutil.disk_usage(plan.target).free
        needed = FREE_BYTES_NEEDED[plan.variant]
        if free < needed:
            raise InstallError(
                f"{plan.target} has {free / 1024**3:.1f} GiB free; the variant {plan.variant} "
                f"needs {needed / 1024**3:.0f} GiB. Free some space or choose another --target."
            )


@contextlib.contextmanager
def only_one(plan: Plan, progress: Progress) -> Iterator[None]:
    """Hold the folder's lock; a second run waits for the first one."""
    with (plan.target / "install.lock").open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            holder = handle.read().strip() or "unknown"
            progress.say(
                f"Another installation is running here (process {holder}); waiting for it."
            )
            fcntl.flock(handle, fcntl.LOCK_EX)
        handle.seek(0)
        handle.truncate()
        handle.write(str(os.getpid()))
        handle.flush()
        yield


def done(plan: Plan, name: str, key: str) -> bool:
    """Tell whether a step was finished from the same inputs."""
    stamp = plan.stamps / name
    return stamp.exists() and stamp.read_text(encoding="utf-8").strip() == key


def run_step(plan: Plan, progress: Progress, name: str, key: str, work: Callable[[], None]) -> bool:
    """Do a step unless its stamp says that it is done; tell whether it was done now."""
    if done(plan, name, key):
        progress.step(f"{name}: already done")
        return False
    progress.step(f"{name}: started")
    (plan.stamps / name).unlink(missing_ok=True)
    work()
    write_atomically(plan.stamps / name, key)
    progress.say(f"    {name}: done")
    return True


def clean_environment() -> dict[str, str]:
    """Return the environment without what would lead Python away from the engine's own packages."""
    drop = {"PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV", "PIP_REQUIRE_VIRTUALENV"}
    kept = {key: value for key, value in os.environ.items() if key not in drop}
    return kept | {"PYTHONUNBUFFERED": "1", "PYTHONSAFEPATH": "1", "PIP_NO_INPUT": "1"}


def call(command: list[str | Path], *, on_line: Callable[[str], None], hint: str) -> None:
    """Run a command, hand its lines over, and raise with its last lines where it fails."""
    tail: list[str] = []
    with subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=clean_environment(),
        cwd="/",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            tail = [*tail[-24:], line.rstrip()]
            on_line(line.rstrip())
    if process.returncode != 0:
        shown = " ".join(str(part) for part in command[:6])
        text = "\n    ".join(tail)
        raise InstallError(f"`{shown} ...` ended with {process.returncode}. {hint}\n    {text}")


def pip_install(plan: Plan, progress: Progress, arguments: list[str], total: int | None) -> None:
    """Run pip in the engine's environment and tell how far it is."""
    seen = 0

    def on_line(line: str) -> None:
        nonlocal seen
        text = line.strip()
        if text.startswith(("Collecting ", "Processing ", "Requirement already satisfied: ")):
            seen += 1
            named = text.split(": ")[-1].removeprefix("Collecting ").removeprefix("Processing ")
            name = re.split(r"[ =<>!~;\[]", named, maxsplit=1)[0].split("/")[-1].split("-")[0]
            count = f"{seen} of {total}" if total else f"{seen}"
            progress.say(f"    package {count}: {name}")
        elif text.startswith("Downloading ") and ("MB)" in text or "GB)" in text):
            progress.say(f"    {text.split('/')[-1]}")
        elif text.startswith("Installing collected packages"):
            progress.say("    unpacking into the environment (can take a minute)")

    base: list[str | Path] = [
        plan.python, "-m", "pip", "install", "--disable-pip-version-check",
        "--progress-bar", "off", "--retries", "5",
    ]  # fmt: skip
    hint = (
        "Check the network, the disk and pip's settings (proxy, index), then run the same command "
        "again: what was fetched is kept."
    )
    call([*base, *arguments], on_line=on_line, hint=hint)


def make_venv(plan: Plan) -> None:
    """Create the virtual environment anew."""
    if plan.venv.exists():
        shutil.rmtree(plan.venv)
    hint = "On Debian and Ubuntu the package python3-venv has to be installed."
    call([sys.executable, "-m", "venv", plan.venv], on_line=lambda line: None, hint=hint)


def copy_package(source: Path, destination: Path) -> None:
    """Replace an installed package of ours by its newest sources with two renames."""
    draft = destination.with_name(f".{destination.name}.new")
    old = destination.with_name(f".{destination.name}.old")
    for leftover in (draft, old):
        shutil.rmtree(leftover, ignore_errors=True)
    shutil.copytree(source, draft, ignore=shutil.ignore_patterns("__pycache__"))
    if destination.exists():
        destination.rename(old)
    draft.rename(destination)
    shutil.rmtree(old, ignore_errors=True)


def copy_ours(plan: Plan) -> None:
    """Copy the runtime and the stand-in packages into the environment."""
    copy_package(HERE / RUNTIME, plan.site_packages / RUNTIME)
    for package in sorted((HERE / STAND_INS).iterdir()):
        if package.is_dir() and package.name != "__pycache__":
            copy_package(package, plan.site_packages / package.name)
    hint = "The sources of the runtime do not compile; check out a clean copy of the repository."
    call(
        [plan.python, "-m", "compileall", "-q", plan.site_packages / RUNTIME],
        on_line=lambda line: None,
        hint=hint,
    )


def run_runtime(plan: Plan, arguments: list[str], hint: str = "") -> None:
    """Run a verb of the installed runtime."""
    call([plan.python, "-m", RUNTIME, *arguments], on_line=lambda line: None, hint=hint)


def write_mark(plan: Plan, key: str) -> None:
    """Write the file that offers the engine."""
    capabilities = (plan.target / "capabilities.json").read_text(encoding="utf-8")
    mark = {
        "name": ENGINE_NAME,
        "version": ENGINE_VERSION,
        "variant": plan.variant,
        "python": str(plan.python),
        "hash": key,
        "capabilities": json.loads(capabilities),
    }
    write_atomically(plan.mark, json.dumps(mark, indent=2) + "\n")


def locked_packages(path: Path) -> int:
    """Return how many packages a lock file names."""
    return sum("==" in line for line in path.read_text(encoding="utf-8").splitlines())


def install(plan: Plan, progress: Progress) -> None:
    """Bring the folder to the state that the plan describes."""
    python_key = digest("venv", f"{sys.version_info[:2]}", str(plan.venv))
    torch_key = digest(python_key, TORCH, plan.variant)
    packages_key = digest(torch_key, plan.lock_file)
    ours_key = digest(packages_key, HERE / RUNTIME, HERE / STAND_INS)
    self_test_key = digest(packages_key, HERE / STAND_INS)
    whole_key = digest(ours_key, ENGINE_VERSION)

    big = {"environment": python_key, "torch": torch_key, "packages": packages_key}
    complete = all(done(plan, name, key) for name, key in big.items())
    check_machine(plan, needs_download=not complete)
    if not complete:
        plan.mark.unlink(missing_ok=True)

    def self_test() -> None:
        hint = "The engine was installed but its one-step test training failed; the lines say why."
        run_runtime(plan, ["selftest"], hint)

    description = ["describe", "--out", str(plan.target)]
    total = locked_packages(plan.lock_file)
    lock = ["--no-deps", "-r", str(plan.lock_file)]
    steps: list[tuple[str, str, Callable[[], None]]] = [
        ("environment", python_key, lambda: make_venv(plan)),
        ("torch", torch_key, lambda: pip_install(plan, progress, [TORCH], None)),
        ("packages", packages_key, lambda: pip_install(plan, progress, lock, total)),
        ("runtime", ours_key, lambda: copy_ours(plan)),
        ("describe", ours_key, lambda: run_runtime(plan, description)),
    ]
    if plan.self_test:
        steps.append(("self-test", self_test_key, self_test))
    else:
        progress.say("The self-test is left out on request.")
    if plan.packages_only:
        steps = steps[: len(big)]
    for name, key, work in steps:
        run_step(plan, progress, name, key, work)
    if plan.packages_only:
        return
    if not (plan.mark.exists() and json.loads(plan.mark.read_text())["hash"] == whole_key):
        write_mark(plan, whole_key)
    progress.step(f"offered: {plan.mark}")


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Install the LLaMA-Factory engine.")
    parser.add_argument("--target", type=Path, default=DEFAULT_TARGET, help="the engine's folder")
    parser.add_argument("--variant", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument(
        "--skip-self-test", action="store_true", help="do not run the one-step training"
    )
    parser.add_argument(
        "--packages-only", action="store_true", help="stop before our own part; run again to go on"
    )
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Install and return the exit status."""
    options = parse(arguments)
    variant = detected_variant() if options.variant == "auto" else options.variant
    plan = Plan(
        options.target.absolute(), variant, not options.skip_self_test, options.packages_only
    )
    progress = Progress()
    try:
        if not any(character.isspace() for character in str(plan.target)):
            plan.stamps.mkdir(parents=True, exist_ok=True)
        else:
            check_machine(plan, needs_download=False)
        progress.say(f"{ENGINE_NAME} {ENGINE_VERSION}, variant {variant}, into {plan.target}")
        with only_one(plan, progress):
            install(plan, progress)
    except InstallError as refused:
        print(f"error: {refused}", file=sys.stderr)
        return 1
    except OSError as failed:
        print(f"error: {failed}. Check the rights and the space of {plan.target}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; run the same command again to go on.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
