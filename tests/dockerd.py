"""A real Docker Engine for tests, beside any other of this machine and with nothing of theirs.

    python tests/dockerd.py start DIR [--data DIR]
    python tests/dockerd.py stop DIR

DIR holds its settings, socket and log; TRAINER_TEST_DOCKER names it to the tests, which kill and
start this Engine again. It needs root and `dockerd`. Containers get no network from it, so it
touches neither the machine's bridges nor its packet filter. Images lie below `--data`.
"""

import argparse
import contextlib
import io
import json
import os
import signal
import subprocess
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import docker
from docker.errors import DockerException
from requests.exceptions import RequestException

START_SECONDS = 60.0
TRIES = 3
BASE = os.environ.get("TRAINER_TEST_BASE", "llm-cloud-trainer/base:tests")


class Engine:
    """The Engine of a directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def host(self) -> str:
        """For DOCKER_HOST."""
        return f"unix://{self.folder}/docker.sock"

    def client(self) -> docker.DockerClient:
        """Raises DockerException while it does not answer."""
        return docker.DockerClient(base_url=self.host, timeout=20)

    def answers(self) -> bool:
        """Whether it answers now."""
        with contextlib.suppress(DockerException, RequestException):
            return bool(self.client().ping())
        return False

    def pid(self) -> int:
        """Its process, 0 when there is none."""
        return _process(self.folder / "pid", "dockerd")

    def _is_gone(self) -> bool:
        """Whether it and its containerd have ended.

        The kernel ends containerd after it; while that takes, a new Engine takes the old containerd
        for a living one, waits for it in vain and gives up.
        """
        return not self.pid() and not _process(
            self.folder / "exec" / "containerd" / "containerd.pid", "containerd"
        )

    def configure(self, data: Path) -> None:
        """Writes its settings."""
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = {
            "live-restore": True,
            "log-driver": "local",
            "log-opts": {"max-size": "10m", "max-file": "2"},
            "data-root": str(data),
            "exec-root": str(self.folder / "exec"),
            "pidfile": str(self.folder / "pid"),
            "hosts": [self.host],
            "bridge": "none",
            "iptables": False,
            "ip6tables": False,
        }
        (self.folder / "daemon.json").write_text(json.dumps(settings, indent=1))

    def start(self) -> None:
        """Starts it, again or for the first time, and waits until it answers.

        It gives its containerd 15 s, of which a busy machine may need more: it is started again
        then, as a service manager does.
        """
        log = self.folder / "dockerd.log"
        for _try in range(TRIES):
            begin = log.stat().st_size if log.exists() else 0
            process = self._launch()
            self._until(lambda: self.answers() or self._has_given_up(process, begin))  # noqa: B023
            if not self._has_given_up(process, begin):
                return
            process.kill()
            process.wait()
            self._until(self._is_gone)
        raise RuntimeError(log.read_text()[-3000:])

    def _has_given_up(self, process: subprocess.Popen[bytes], begin: int) -> bool:
        """Whether it has ended, or will; its log has what it says from `begin` on."""
        with (self.folder / "dockerd.log").open("rb") as log:
            log.seek(begin)
            return process.poll() is not None or b"failed to start containerd" in log.read()

    def _launch(self) -> subprocess.Popen[bytes]:
        (self.folder / "pid").unlink(missing_ok=True)  # of one that was killed
        command = ["dockerd", "--config-file", str(self.folder / "daemon.json")]
        with (self.folder / "dockerd.log").open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"},
            )

    def kill(self) -> None:
        """Kills it as a crash would; what it started goes on."""
        pid = self.pid()
        if pid:
            os.kill(pid, signal.SIGKILL)
            self._until(self._is_gone)

    def stop(self) -> None:
        """Ends it and all of its containers."""
        if self.answers():
            for container in self.client().containers.list(all=True, ignore_removed=True):
                with contextlib.suppress(DockerException):
                    container.remove(force=True, v=True)
        pid = self.pid()
        if pid:
            os.kill(pid, signal.SIGTERM)
            self._until(self._is_gone)
        self._unmount()

    def _unmount(self) -> None:
        """Takes off what an Engine that keeps containers alive leaves mounted when it ends."""
        data = json.loads((self.folder / "daemon.json").read_text())["data-root"]
        mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        for mount in reversed(mounts):
            if any(Path(mount).is_relative_to(folder) for folder in (self.folder, data)):
                subprocess.run(["umount", mount], check=True)

    def _until(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not true():
            if time.monotonic() > deadline:
                raise RuntimeError((self.folder / "dockerd.log").read_text()[-3000:])
            time.sleep(0.05)


def built(client: docker.DockerClient, name: str, files: dict[str, str]) -> str:
    """Builds an image from texts; its id."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path, text in files.items():
            entry = tarfile.TarInfo(path)
            content = text.encode()
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    packed.seek(0)
    image, _lines = client.images.build(fileobj=packed, custom_context=True, tag=name, rm=True)
    return str(image.id)


def _process(path: Path, name: str) -> int:
    """The process whose number stands in a file, 0 when it is not there or another's."""
    with contextlib.suppress(OSError, ValueError):
        number = int(path.read_text())
        with contextlib.suppress(ChildProcessError):
            os.waitpid(number, os.WNOHANG)  # an ended one of ours is there until it is waited for
        if Path(f"/proc/{number}/comm").read_text().strip() == name:
            return number
    return 0


def main() -> None:
    """Starts or stops the Engine of a directory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("start", "stop"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, help="where images lie; below the folder by default")
    options = parser.parse_args()
    engine = Engine(options.folder.absolute())
    if options.what == "stop":
        engine.stop()
        return
    engine.configure((options.data or options.folder / "data").absolute())
    engine.start()
    print(f"export DOCKER_HOST={engine.host} TRAINER_TEST_DOCKER={engine.folder}")


if __name__ == "__main__":
    main()
