"""A big upload in a real Chromium that outlives kill -9 of the server, a pause and a reload."""

import contextlib
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile, is_zipfile

import psutil
import pytest
from playwright.sync_api import Page, Route, expect, sync_playwright

from tests.e2e.running import PATIENCE, Platform, prepared
from tests.services import chromium

pytestmark = pytest.mark.browser
expect.set_options(timeout=PATIENCE)
SIZE = 160 * 2**20
ROW = b'{"instruction": "%08d", "output": "%s"}\n'


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform of its own, for it is killed."""
    made = prepared(tmp_path_factory.mktemp("resumed"))
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def page(site: Platform) -> Iterator[Page]:
    """A page whose connection is slow enough to be interrupted."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_context(base_url=site.url).new_page()
        page.set_default_timeout(PATIENCE)
        network = page.context.new_cdp_session(page)
        network.send("Network.enable")
        network.send(
            "Network.emulateNetworkConditions",
            {
                "offline": False,
                "latency": 0,
                "downloadThroughput": -1,
                "uploadThroughput": 16 * 2**20,
            },
        )
        yield page
        browser.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """So many rows, each of its own."""
    path = tmp_path / "很大 big.jsonl"
    with path.open("wb") as rows:
        number = 0
        while rows.tell() < SIZE:
            rows.write(ROW % (number, hashlib.sha256(b"%d" % number).hexdigest().encode() * 200))
            number += 1
    return path


def kill(site: Platform) -> None:
    """Ends every process of the platform at once, as a power cut does."""
    for process in site.parts():
        with contextlib.suppress(psutil.Error):
            process.kill()
    assert site.process is not None
    site.process.wait(180)


def reaches(page: Page, percent: int) -> None:
    """Waits until the bar is so far."""
    bar, there = page.locator("[data-upload-progress] [role=progressbar]"), 0
    for _try in range(1800):
        there = int(bar.get_attribute("aria-valuenow") or 0)
        if there >= percent:
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"the upload stands at {there} per cent")


def digest(path: Path) -> str:
    """Of the whole file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def received(site: Platform) -> int:
    """Bytes that lie on the server's disk."""
    return sum(path.stat().st_size for path in (site.home / "data/.uploads").rglob("part"))


def archived(site: Platform, page: Page) -> list[str]:
    """The files of the one archive among the versions, which may have to be written yet."""
    for _try in range(1800):
        found = [path for path in (site.home / "data").glob("*/v1/original") if is_zipfile(path)]
        if found:
            return ZipFile(found[0]).namelist()
        page.wait_for_timeout(100)
    raise AssertionError("there is no archive")


def sign_up(site: Platform, page: Page, name: str) -> None:
    """A new person, who is logged in then."""
    code = re.findall(r"[A-Za-z0-9_-]{12,}", site.manage("invitation_create", "--uses", "1"))[-1]
    page.goto(f"/account/signup/?code={code}")
    page.fill("[name=username]", name)
    page.fill("[name=email]", f"{name}@example.org")
    page.fill("[name=password1]", "a-long-Passw0rd")
    page.fill("[name=password2]", "a-long-Passw0rd")
    page.click("form button[type=submit]:has-text('Register')")
    expect(page).to_have_url(f"{site.url}/")


def pause(site: Platform, page: Page) -> int:
    """Stops the upload on the page; the bytes that have arrived by then."""
    page.click("[data-upload-pause]")
    expect(page.locator("[data-upload-text]")).to_have_text("Paused")
    there, before = received(site), -1
    while there != before:  # what was on its way comes to rest
        page.wait_for_timeout(1000)
        there, before = received(site), there
    return there


def test_an_upload_outlives_everything(site: Platform, page: Page, file: Path) -> None:
    """Killed in the middle it goes on by itself; paused and reloaded, when the file is chosen."""
    sign_up(site, page, "uploader")
    page.goto("/datasets/new/")
    page.set_input_files("[name=file]", str(file))
    page.click("button:has-text('Upload and check')")
    reaches(page, 20)
    kill(site)
    there = received(site)
    assert 0 < there < file.stat().st_size
    expect(page.locator("[data-upload-text]")).to_have_text(re.compile("No connection"))
    site.start()
    reaches(page, 45)
    assert received(site) > there

    there = pause(site, page)
    page.evaluate("localStorage.clear()")  # as in another browser
    page.reload()
    expect(page.locator(".hint").filter(has_text="很大 big.jsonl")).to_be_visible()
    page.set_input_files("[name=file]", str(file))
    with page.expect_response(lambda answer: answer.request.method == "HEAD") as answer:
        page.click("button:has-text('Upload and check')")
    assert int(answer.value.headers["upload-offset"]) == there
    page.wait_for_url(re.compile(r"/datasets/[0-9a-f-]{36}/"))
    originals = list((site.home / "data").glob("*/v1/original"))
    assert [path.stat().st_size for path in originals] == [file.stat().st_size]
    assert digest(originals[0]) == digest(file)
    assert list((site.home / "data/.uploads").iterdir()) == []


def test_errors_of_the_server_and_edits_of_the_file(site: Platform, page: Page, file: Path) -> None:
    """A server that fails for a while is waited for; a file that was edited is another file."""
    sign_up(site, page, "editor")
    refused: list[str] = []

    def fails(route: Route) -> None:
        """As a proxy does while the server behind it restarts."""
        method = route.request.method
        if refused.count(method) == 2:
            route.continue_()
            return
        refused.append(method)
        route.fulfill(status=503, body="away")

    def chosen() -> None:
        page.goto("/datasets/new/")
        page.set_input_files("[name=file]", str(file))
        page.click("button:has-text('Upload and check')")

    chosen()
    reaches(page, 10)
    there = pause(site, page)
    page.route("**/api/v1/uploads/**", fails)
    with page.expect_response(
        lambda answer: answer.request.method == "HEAD" and answer.ok
    ) as answer:
        chosen()
    assert int(answer.value.headers["upload-offset"]) == there
    reaches(page, 30)
    assert sorted(refused) == ["GET", "GET", "HEAD", "HEAD", "PATCH", "PATCH"]
    page.unroute_all()

    first = pause(site, page)
    with file.open("r+b") as rows:
        rows.seek(there // 2)
        rows.write(b"typo")
    with page.expect_response(lambda answer: answer.request.method == "POST") as answer:
        chosen()
    assert answer.value.status == 201
    page.wait_for_url(re.compile(r"/datasets/[0-9a-f-]{36}/"))
    assert received(site) == first  # what arrived before the edit waits for the file as it was
    originals = {digest(path) for path in (site.home / "data").glob("*/v1/original")}
    assert digest(file) in originals


FILES = 30


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files of 2 MB, and an empty one as other programs leave it."""
    path = tmp_path / "语料 corpus"
    (path / "in").mkdir(parents=True)
    for number in range(FILES):
        row = ROW % (number, b"answer " * 600)
        (path / "in" / f"{number:02}.jsonl").write_bytes(row * (2 * 2**20 // len(row)))
    (path / "_SUCCESS").touch()
    return path


def test_a_folder_goes_on_where_it_stopped(site: Platform, page: Page, folder: Path) -> None:
    """Told as one with what is finished of it; a refusal at the end is told in its own words."""
    others = set((site.home / "data/.uploads").glob("*"))
    sign_up(site, page, "folders")
    page.goto("/datasets/new/")

    def chosen() -> None:
        page.set_input_files("#upload-folder", str(folder))
        page.click("button:has-text('Upload and check')")

    chosen()
    reaches(page, 30)
    pause(site, page)
    page.evaluate("localStorage.clear()")  # as in another browser
    page.reload()
    hint = page.locator(".hint").filter(has_text="语料 corpus")
    found = re.search(rf"(\d+) of {FILES + 1} files have arrived", hint.inner_text())
    assert found
    done = int(found[1])
    assert 5 < done < FILES

    pieces: list[str] = []
    page.on("request", lambda request: pieces.append(request.method))
    page.route("**/datasets/new/", lambda route: route.continue_(post_data="nothing"))
    chosen()
    expect(page.locator("#notices")).to_contain_text("open for too long")
    assert pieces.count("PATCH") <= FILES + 1 - done
    page.unroute_all()
    page.click("button:has-text('Upload and check')")
    page.wait_for_url(re.compile(r"/datasets/[0-9a-f-]{36}/"))
    assert pieces.count("PATCH") <= FILES + 1 - done
    assert set((site.home / "data/.uploads").glob("*")) == others
    assert len(archived(site, page)) == FILES + 1
