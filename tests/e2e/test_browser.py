"""A newcomer in a real Chromium: register, upload, train with the page moving, deploy, chat."""

import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.e2e.running import PATIENCE, Platform
from tests.services import ROOT, chromium

pytestmark = [pytest.mark.engine, pytest.mark.browser]
expect.set_options(timeout=PATIENCE)
DATA = ROOT / "deploy" / "demo" / "dataset.jsonl"
RECIPE = json.loads((ROOT / "deploy" / "demo" / "train.json").read_text("utf-8"))
SHOTS = os.environ.get("TRAINER_SCREENSHOTS", "")  # a folder, when pictures are wanted


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium."""
    quiet = ("--disable-gpu", "--no-first-run", "--disable-background-networking")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=chromium(),
            args=["--no-sandbox", "--disable-component-update", "--disable-sync", *quiet],
        )
        yield running
        running.close()


@pytest.fixture
def page(browser: Browser, platform: Platform) -> Iterator[Page]:
    """A page that fails the test when the site's own scripts fail or its policy is broken."""
    context = browser.new_context(base_url=platform.url, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "console",
        lambda message: (
            wrong.append(message.text)
            if message.type == "error" and "Content Security Policy" in message.text
            else None
        ),
    )
    yield page
    context.close()
    assert wrong == []


def shoot(page: Page, name: str) -> None:
    """Keeps a picture where pictures are wanted."""
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"), full_page=True)


def register(page: Page, platform: Platform, name: str) -> None:
    """Fills in the form that an invitation leads to."""
    code = re.findall(r"[A-Za-z0-9_-]{12,}", platform.manage("invitation_create", "--uses", "1"))
    page.goto(f"/account/signup/?code={code[-1]}")
    page.fill("[name=username]", name)
    page.fill("[name=email]", f"{name}@example.org")
    page.fill("[name=password1]", "a-long-Passw0rd")
    page.fill("[name=password2]", "a-long-Passw0rd")
    page.click("form button[type=submit]:has-text('Register')")
    expect(page).to_have_url(f"{platform.url}/")
    shoot(page, "home-empty")


def upload(page: Page) -> None:
    """Uploads the data set and waits for its check."""
    page.goto("/datasets/new/")
    page.set_input_files("[name=file]", str(DATA))
    page.fill("[name=name]", "browser-data")
    page.click("button:has-text('Upload and check')")
    expect(page.get_by_role("link", name="Train with it")).to_be_visible()
    shoot(page, "dataset")


def start_training(page: Page) -> None:
    """Goes through the steps of the form with the demo's settings."""
    page.get_by_role("link", name="Train with it").click()
    # Each choice asks the server for what fits it; what is typed before the answer would be lost.
    with page.expect_response(re.compile("/jobs/new/")):
        page.select_option("[name=model_version]", index=1)
    with page.expect_response(re.compile("/jobs/new/")):
        page.check("[name=method][value=full]", force=True)
    expect(page.locator("[name=set_learning_rate]")).to_have_value("1e-5")
    expect(page.locator("[name=method][value=full]")).to_be_checked()
    page.wait_for_load_state("networkidle")
    for name, value in RECIPE["settings"].items():
        control = page.locator(f"[name=set_{name}]")
        if control.evaluate("node => node.tagName") == "SELECT":
            control.select_option(str(value), force=True)
        else:
            control.evaluate("(node, value) => { node.value = value }", str(value))
    page.fill("[name=name]", "browser-run")
    shoot(page, "new-training")
    page.click("button[name=start]")
    expect(page).to_have_url(re.compile(r"/jobs/[0-9a-f-]{36}/"))


def watch(page: Page) -> None:
    """The log fills, the curve moves and a reload loses nothing, while it trains."""
    log = page.locator("[data-log]").first
    expect(log).to_contain_text(re.compile(r"\S{4,}"))
    chart = page.locator("[data-chart] canvas").first
    expect(chart).to_be_visible()
    first = chart.evaluate("node => node.toDataURL()")
    # Not wait_for_function: it evaluates text in the page, which the site's policy forbids.
    deadline = time.monotonic() + 180
    while chart.evaluate("node => node.toDataURL()") == first:
        assert time.monotonic() < deadline, "the curve stands still"
        page.wait_for_timeout(500)
    shoot(page, "job-running")
    page.reload()
    expect(page.locator("[data-log]").first).to_contain_text(re.compile(r"\S{4,}"))
    expect(page.locator(".head .state, #job-head .state").first).to_contain_text(
        "done", ignore_case=True
    )
    shoot(page, "job-done")


def deploy_and_chat(page: Page, platform: Platform) -> None:
    """Deploys the trained version and gets a taught answer, which survives a reload."""
    page.goto("/deployments/new/")
    options = page.locator("[name=version] option").all_inner_texts()
    chosen = next(text for text in options if "browser" in text)
    page.select_option("[name=version]", label=chosen)
    page.click("button:has-text('Deploy')")
    expect(page.get_by_text("ready", exact=False).first).to_be_visible()
    shoot(page, "deployment")
    page.goto("/playground/")
    if page.locator("#ask").count() == 0:
        page.locator("main form button.btn-primary").first.click()
    row = json.loads(DATA.read_text("utf-8").splitlines()[0])
    expect(page.locator("#ask")).to_be_visible()
    page.wait_for_load_state("load")
    temperature = page.locator("[name=temperature]")
    with page.expect_response(re.compile("/settings/$")):
        temperature.evaluate(
            "node => { node.value = 0; node.dispatchEvent(new Event('change', {bubbles: true})) }"
        )
    page.fill("#ask textarea", row["instruction"])
    page.press("#ask textarea", "Enter")
    answer = page.locator("[data-role=assistant] .words").last
    expect(answer).to_contain_text(row["output"].strip())
    shoot(page, "playground")
    page.reload()
    expect(page.locator("[data-role=assistant] .words").last).to_contain_text(row["output"].strip())


def test_a_newcomer_takes_a_model_all_the_way(page: Page, platform: Platform) -> None:
    register(page, platform, "nova")
    upload(page)
    start_training(page)
    watch(page)
    deploy_and_chat(page, platform)
