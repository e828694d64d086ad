"""How much memory the web process takes, whatever the sizes of datasets, logs and archives.

On a really started platform: a big dataset is uploaded, checked, looked through, searched and
downloaded, another has a line of 15 MB, a log of 200 MB is read at its end and as a whole in
several sockets, an archive of 2 GB is downloaded, and then much of it at once. Clients that read
slowly and leave early are among them. Prints for each part the most memory that the web process
held (RSS as the kernel counts its highest, PSS by samples) and how soon a simple page was answered
meanwhile, so that both can be compared with the idle process of the same run.
"""

import argparse
import asyncio
import hashlib
import http.client
import json
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import aiohttp
from running import Failed, Platform, demo_job, platform, run, session
from web_watch import MB, Watch, answer, report

DISK_BYTES = 6 * 10**9
ROWS_A_BLOCK = 1000
PIECE = 1 << 18
WORDS = "The quick brown fox jumps over the lazy dog and is home before the rain begins. " * 5
LAST = "sphinx-of-black-quartz"
ROW = '{{"instruction":"Question {:09d}: what does the fox do?","output":"{}{:24}"}}\n'
LOG_LINE = b"a line of an ordinary training, about eighty characters long, step 123456\n"


def together(*calls: Callable[[], object]) -> None:
    """Does all at once; raises the first failure. The threads go with the process."""
    failures: list[BaseException] = []

    def do(call: Callable[[], object]) -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001  raised again below
            failures.append(error)

    threads = [threading.Thread(target=do, args=(call,), daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


# uploads


@dataclass(frozen=True)
class Rows:
    """Contents of so many equal rows, made while they are sent; the last row holds `LAST`."""

    count: int

    @classmethod
    def of(cls, size: int) -> "Rows":
        """Rows of about so many bytes."""
        return cls(max(size // len(ROW.format(0, WORDS, "")), 1))

    @property
    def size(self) -> int:
        """In bytes."""
        return self.count * len(ROW.format(0, WORDS, ""))

    def blocks(self) -> Iterator[bytes]:
        """The contents in pieces."""
        for start in range(0, self.count, ROWS_A_BLOCK):
            end = min(start + ROWS_A_BLOCK, self.count)
            lines = (
                ROW.format(number, WORDS, LAST if number == self.count - 1 else "")
                for number in range(start, end)
            )
            yield "".join(lines).encode()


def upload(
    running: Platform, key: str, name: str, size: int, blocks: Iterator[bytes]
) -> tuple[Any, str]:
    """Sends a file as it is made; the new version, and the SHA-256 of what was sent."""
    line = secrets.token_hex(12)
    head = (
        f'--{line}\r\nContent-Disposition: form-data; name="name"\r\n\r\n{name}\r\n--{line}\r\n'
        f'Content-Disposition: form-data; name="file"; filename="{name}.jsonl"\r\n\r\n'
    ).encode()
    tail = f"\r\n--{line}--\r\n".encode()
    digest = hashlib.sha256()
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=300)
    try:
        connection.putrequest("POST", "/api/v1/datasets/")
        connection.putheader("Authorization", f"Bearer {key}")
        connection.putheader("Content-Type", f"multipart/form-data; boundary={line}")
        connection.putheader("Content-Length", str(len(head) + size + len(tail)))
        connection.endheaders(head)
        for block in blocks:
            digest.update(block)
            connection.send(block)
        connection.send(tail)
        response = connection.getresponse()
        text = response.read()
        if response.status != 201:
            raise Failed(f"upload of {name}: {response.status} {text[:1000]!r}")
        made = json.loads(text)
        return {**made["latest_version"], "dataset": made["id"]}, digest.hexdigest()
    finally:
        connection.close()


def long_line(size: int) -> Iterator[bytes]:
    """A file with one long line between short ones."""
    short = ROW.format(0, WORDS, "").encode()
    yield short
    yield ROW.format(1, "fox " * (size // 4), "").encode()
    yield short


def address(version: Any) -> str:
    """Where the API has a version."""
    return f"/api/v1/datasets/{version['dataset']}/versions/{version['id']}/"


def checked(running: Platform, key: str, version: Any) -> Any:
    """The version after its check."""
    states = {"ready", "broken", "mapping"}
    return running.until(address(version), key, states, 1800)


# reading


def look_through(running: Platform, cookie: str, version: Any, count: int, pages: int) -> None:
    """The last pages of the preview, as a browser gets them."""
    page = address(version).removeprefix("/api/v1")
    for back in range(pages):
        start = max(count - 10 * (back + 1), 0) + 1
        with answer(running, f"{page}?from={start}", cookie=cookie) as response:
            text = response.read().decode()
        if back == 0 and LAST not in text:
            raise Failed("the last page does not show the last row")


def search(running: Platform, key: str, version: Any, words: str, results: int) -> int:
    """Goes on until the end of the file, as the page's button does; how many requests it took."""
    start, found, asked = 1, 0, 0
    while start is not None:
        path = f"{address(version)}rows/?search={words}&from={start}"
        row = running.call("GET", path, key=key)
        start, found, asked = row["next_from"], found + len(row["results"]), asked + 1
    if found != results:
        raise Failed(f"{found} rows with “{words}” were found instead of {results}")
    return asked


def download(
    running: Platform,
    path: str,
    *,
    key: str = "",
    cookie: str = "",
    size: int = 0,
    sha256: str = "",
) -> None:
    """A whole file, thrown away; Failed when it is shorter or another than it should be."""
    digest, got = hashlib.sha256(), 0
    with answer(running, path, key=key, cookie=cookie) as response:
        while piece := response.read(PIECE):
            got += len(piece)
            if sha256:
                digest.update(piece)
    if got < size or (sha256 and digest.hexdigest() != sha256):
        raise Failed(f"{path}: {got} bytes came, not what was stored ({size} bytes)")


def leave_early(running: Platform, path: str, *, key: str = "", cookie: str = "") -> None:
    """A client behind a slow line that gives up after some seconds."""
    with answer(running, path, key=key, cookie=cookie) as response:
        for _piece in range(60):
            response.read(1 << 15)
            time.sleep(0.1)


def sockets(
    running: Platform, cookie: str, workload: str, size: int, *, ends: int, whole: int
) -> None:
    """Opens a log at its end and from its start in several sockets at once."""

    async def read(client: aiohttp.ClientSession, offset: int | None) -> None:
        url = f"{running.url}/ws/workloads/{workload}/log/"
        url += "" if offset is None else f"?offset={offset}"
        came, place = 0, 0
        async with client.ws_connect(url, max_msg_size=0, compress=15) as ws:
            while place < size:
                message = await ws.receive(timeout=120)
                if message.type is not aiohttp.WSMsgType.TEXT:
                    raise Failed(f"the socket of a log ended: {message}")
                piece = json.loads(message.data)
                came, place = came + len(piece.get("text", "")), piece["next"]
        if came < (size if offset == 0 else 1):
            raise Failed(f"a socket gave {came} of {size} bytes")

    async def all_of_them() -> None:
        headers = {"Origin": running.url, "Cookie": cookie}
        async with aiohttp.ClientSession(headers=headers) as client, asyncio.TaskGroup() as group:
            for place in range(ends + whole):
                group.create_task(read(client, None if place < ends else 0))

    asyncio.run(all_of_them())


# the parts


@dataclass
class Person:
    """Who does all that: by API key and in the browser."""

    running: Platform
    key: str
    cookie: str


def upload_long(me: Person, size: int, *, rows: int) -> Any:
    """A dataset of three lines, one of them long; its version when so many of them are rows."""
    whole = b"".join(long_line(size))
    made, _digest = upload(me.running, me.key, f"long-{size}", len(whole), iter([whole]))
    version = checked(me.running, me.key, made)
    if (version["state"], version["rows"]) != ("ready", rows):
        raise Failed(f"with a line of {size} bytes: {version['rows']} rows, {version['state']}")
    return version


def finished_job(me: Person, archive_bytes: int, log_bytes: int) -> tuple[str, str]:
    """A real job with a big file among its own and a long log; its number and its workload's."""
    job = me.running.call(
        "POST", "/api/v1/jobs/", demo_job(me.running, me.key, num_train_epochs=1), me.key
    )
    states = {"succeeded", "failed", "stopped"}
    job = me.running.until(f"/api/v1/jobs/{job['id']}/", me.key, states)
    if job["state"] != "succeeded":
        raise Failed(f"the training {job['state']}: {job.get('failure_line')}")
    workload = job["attempts"][-1]["workload"]
    with (me.running.home / "output" / workload / "output" / "big.bin").open("wb") as big:
        big.truncate(archive_bytes)  # reads like any file and takes no room
    log = me.running.home / "logs" / f"{workload}.log"
    with log.open("ab") as lines:
        for _part in range(log_bytes // MB):
            lines.write(LOG_LINE * (MB // len(LOG_LINE)))
    return job["id"], workload


def datasets(me: Person, watch: Watch, size: int) -> Any:
    """Uploads, checks, looks through, searches and downloads; the checked version."""
    rows = Rows.of(size)
    with watch.phase(f"upload of {rows.size // MB} MB"):
        version, sha256 = upload(me.running, me.key, "big", rows.size, rows.blocks())
    with watch.phase("its check (in another process)"):
        version = checked(me.running, me.key, version)
    if version["state"] != "ready" or version["rows"] != rows.count:
        raise Failed(f"the dataset is {version['state']} with {version['rows']} rows")
    look = partial(look_through, me.running, me.cookie, version, rows.count)
    with watch.phase("its last pages, four readers"):
        together(*[partial(look, 10)] * 4)
    find = partial(search, me.running, me.key, version)
    with watch.phase("searching it to the end, two readers"):
        together(*[partial(find, LAST, 1)] * 2)
    get = partial(download, me.running, key=me.key, size=rows.size)
    with watch.phase("downloading it, three ways at once"):
        together(
            partial(get, f"{address(version)}download/", sha256=sha256),
            partial(get, f"{address(version)}download/?form=rows"),
            partial(get, f"{address(version)}download/?form=train"),
            partial(leave_early, me.running, f"{address(version)}download/", key=me.key),
        )
    return version


def long_lines(me: Person, watch: Watch) -> None:
    """Lines that are longer than a page shows, and longer than is taken."""
    with watch.phase("four lines of 1.9 MB at once"):
        together(*[partial(upload_long, me, 1_900_000 + more, rows=3) for more in range(4)])
    with watch.phase("lines of 15 MB, and of 20: left out"):
        version = upload_long(me, 15 * MB, rows=3)
        upload_long(me, 20 * MB, rows=2)
        together(*[partial(search, me.running, me.key, version, "fox", 3)] * 4)
        page = address(version).removeprefix("/api/v1")
        download(me.running, page, cookie=me.cookie)
    with watch.phase("pages of 100 lines of 0.25 MB"):
        row = ROW.format(0, "fox " * 60_000, "").encode()
        version, _digest = upload(me.running, me.key, "wide", 100 * len(row), iter([row] * 100))
        version = checked(me.running, me.key, version)
        rows = f"{address(version)}rows/?page_size=100"
        together(
            *[partial(download, me.running, rows, key=me.key)] * 4,
            *[partial(search, me.running, me.key, version, "fox", 100)] * 2,
        )


def main(options: argparse.Namespace) -> None:
    """All parts, and then much of it at once."""
    if shutil.disk_usage(tempfile.gettempdir()).free < DISK_BYTES:
        raise Failed(f"{DISK_BYTES // 10**9} GB of disk are needed in {tempfile.gettempdir()}")
    with platform() as running:
        key = running.register("bench")
        me = Person(running, key, session(running, "bench"))
        job, workload = finished_job(me, options.archive_mb * MB, options.log_mb * MB)
        log_bytes = (running.home / "logs" / f"{workload}.log").stat().st_size
        watch = Watch(running, me.cookie)
        print(f"{'':<34} {'took':>9} {'RSS':>10} {'PSS':>10} {'page p95':>10}")
        with watch.phase("idle") as idle:
            time.sleep(5)
        version = datasets(me, watch, options.dataset_mb * MB)
        long_lines(me, watch)
        follow = partial(sockets, running, me.cookie, workload, log_bytes)
        get = partial(download, running, cookie=me.cookie)
        with watch.phase(f"a log of {options.log_mb} MB, sockets"):
            follow(ends=8, whole=4)
        with watch.phase("the log as a file, two ways"):
            together(
                partial(get, f"/jobs/{job}/log/", size=log_bytes),
                partial(get, f"/nodes/workloads/{workload}/log/download/", size=log_bytes),
            )
        archive = partial(get, f"/jobs/{job}/archive/", size=options.archive_mb * MB)
        with watch.phase(f"an archive of {options.archive_mb} MB"):
            archive()
        with watch.phase("one of its files"):
            get(f"/jobs/{job}/files/output/big.bin", size=options.archive_mb * MB)
        more = Rows.of(options.dataset_mb * MB // 4)
        with watch.phase("much of it at once"):
            together(
                partial(upload, running, key, "more", more.size, more.blocks()),
                partial(follow, ends=8, whole=2),
                archive,
                archive,
                partial(leave_early, running, f"/jobs/{job}/archive/", cookie=me.cookie),
                partial(get, f"{address(version)}download/".removeprefix("/api/v1")),
                partial(search, running, key, version, LAST, 1),
                partial(look_through, running, me.cookie, version, version["rows"], 10),
            )
        with watch.phase("idle again"):
            time.sleep(5)
        report(watch, idle)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset-mb", type=int, default=1000)
    parser.add_argument("--log-mb", type=int, default=200)
    parser.add_argument("--archive-mb", type=int, default=2100)
    chosen = parser.parse_args()
    run(lambda: main(chosen), "the memory of the web process at work and idle, pages meanwhile")
