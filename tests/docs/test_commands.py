"""The commands in READMEs and docs are true: each line of a `sh` block is run or checked.

Commands are run against a started platform, each distinct one once. `make` targets, which would
install or test everything again, must be known to make; those of compose run where all of it is up.
"""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.e2e.running import Platform
from tests.services import ROOT

DOCS = [*sorted(ROOT.glob("README*.md")), *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)#:]+?)(?:#[^)]*)?\)")


def commands(path: Path) -> list[str]:
    """The command lines of a page, with continued lines joined."""
    text = "\n".join(FENCE.findall(path.read_text("utf-8"))).replace("\\\n", " ")
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


LINES = sorted({line: path.name for path in DOCS for line in commands(path)}.items())


@pytest.mark.parametrize(("line", "page"), [pair for pair in LINES if pair[0].startswith("make ")])
def test_make_knows_the_target(line: str, page: str) -> None:
    done = subprocess.run(
        ["make", "--dry-run", *shlex.split(line)[1:]], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == 0, (page, done.stderr.decode())


@pytest.mark.engine
@pytest.mark.parametrize(
    ("line", "page"),
    [pair for pair in LINES if not pair[0].startswith(("make ", "docker compose "))],
)
def test_the_command_does_what_the_page_says(platform: Platform, line: str, page: str) -> None:
    key = platform.keys.get("reader") or platform.register("reader")
    ready = line.replace("http://127.0.0.1:8000", platform.url).replace("$TRAINER_KEY", key)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", ready],
        cwd=ROOT,
        env=platform.env | {"TRAINER_OPERATOR_PASSWORD": "a-long-Passw0rd"},
        capture_output=True,
        text=True,
        timeout=300,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 0, (page, ready, done.stdout, done.stderr)


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    broken = [
        link for link in LINK.findall(path.read_text("utf-8")) if not (path.parent / link).exists()
    ]
    assert broken == []
