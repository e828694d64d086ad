"""The main job, from data to chat, through the public REST API of a really started platform.

`make demo` sets everything up and calls this. Only the standard library is used, so that the
calls can be read as an example. Ends with status 1 and the reason when any step fails.
"""

import contextlib
import json
import os
import random
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
MANAGE = [sys.executable, str(ROOT / "manage.py")]
QUESTIONS = 10
NEEDED = 9
BEGAN = time.monotonic()


class DemoError(Exception):
    """A step went wrong; the text says which and why."""


def say(step: str, text: str) -> None:
    """One progress line."""
    print(f"[{time.monotonic() - BEGAN:6.1f} s] {step:<9} {text}", flush=True)


class Client:
    """JSON over HTTP with an API key."""

    def __init__(self, url: str) -> None:
        self.url, self.key = url, ""

    def call(self, method: str, path: str, body: Any = None, upload: Path | None = None) -> Any:
        """The answer's JSON; DemoError with the platform's own words on a refusal."""
        headers = {"Accept": "application/json"}
        data = None
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        if upload:
            headers["Content-Type"], data = form(body or {}, upload)
        elif body is not None:
            headers["Content-Type"], data = "application/json", json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
            raise DemoError(f"{method} {path} was refused ({error.code}): {text[:1000]}") from None

    def until(
        self, path: str, good: set[str], bad: set[str], seconds: float, tell: Callable[[Any], str]
    ) -> Any:
        """Polls until the row's state is good; says what changes on the way."""
        deadline, told = time.monotonic() + seconds, ""
        while time.monotonic() < deadline:
            row = self.call("GET", path)
            if row["state"] in good:
                return row
            if row["state"] in bad:
                raise DemoError(f"{path} ended as {row['state']}: {why(row)}")
            text = tell(row)
            if text and text != told:
                told = text
                say("", text)
            time.sleep(0.5)
        raise DemoError(f"{path} was still {row['state']} after {seconds:.0f} s")


def why(row: dict[str, Any]) -> str:
    """What the platform says of a failure."""
    facts = [row.get(name) for name in ("failure", "failure_line", "advice", "reason")]
    return " · ".join(str(fact) for fact in facts if fact) or json.dumps(row)[:500]


def form(fields: dict[str, str], file: Path) -> tuple[str, bytes]:
    """A multipart form: its content type and its body."""
    line = secrets.token_hex(12)
    parts = [
        f'--{line}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    parts.append(
        f'--{line}\r\nContent-Disposition: form-data; name="file"; filename="{file.name}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    body = "".join(parts).encode() + file.read_bytes() + f"\r\n--{line}--\r\n".encode()
    return f"multipart/form-data; boundary={line}", body


def free_port(wanted: int) -> int:
    """The wanted port, or another when somebody listens there."""
    for port in (wanted, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise DemoError("no free port on 127.0.0.1")


def manage(*arguments: str) -> str:
    """The output of one of the platform's own commands."""
    done = subprocess.run([*MANAGE, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise DemoError(f"manage.py {arguments[0]}: {done.stderr.strip()[-1000:]}")
    return done.stdout


@contextlib.contextmanager
def served(port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The running platform; its output goes to a file, of which a failure shows the end."""
    log = Path(os.environ["TRAINER_HOME"]) / "logs" / "serve.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*MANAGE, "serve", "--port", str(port)], stdout=out, stderr=out, cwd=ROOT
        )
    try:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/account/login/", timeout=5).close()
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise DemoError("the platform did not start:\n" + log.read_text()[-3000:])
            time.sleep(0.2)
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)


def account(client: Client) -> tuple[str, str]:
    """Registers with an invitation; the name and the password."""
    code = re.findall(r"[A-Za-z0-9_-]{12,}", manage("invitation_create", "--uses", "1"))[-1]
    name, password = f"demo-{secrets.token_hex(2)}", secrets.token_urlsafe(9)
    answer = client.call(
        "POST",
        "/api/v1/register/",
        {"username": name, "email": f"{name}@example.org", "password": password, "code": code},
    )
    client.key = answer["key"]
    say("register", f"{name}, with an invitation")
    return name, password


def dataset(client: Client, name: str = "helpdesk") -> dict[str, Any]:
    """Uploads and checks the training set; its ready version."""
    row = client.call("POST", "/api/v1/datasets/", {"name": name}, upload=HERE / "dataset.jsonl")
    say("upload", f"dataset.jsonl as {row['name']}")
    path = f"/api/v1/datasets/{row['id']}/versions/{row['latest_version']['id']}/"
    version = client.until(path, {"ready"}, {"broken", "mapping"}, 60, lambda row: "")
    report = version["report"]
    say("check", f"{version['shape']}: {report['usable']} of {report['rows']} rows usable")
    return version


def job(client: Client, kind: str, version: str, **fields: Any) -> dict[str, Any]:
    """Submits a job and follows it to its end."""
    row = client.call(
        "POST",
        "/api/v1/jobs/",
        {"kind": kind, "name": f"demo-{kind}", "model_version": version, **fields},
    )

    def tell(row: dict[str, Any]) -> str:
        done = int(10 * row["step"] / row["total_steps"]) * 10 if row["total_steps"] else 0
        loss = row["latest"].get("loss")
        return (
            f"{kind}: {done} %" + (f", loss {loss:.3f}" if loss is not None and done else "")
            if done
            else ""
        )

    bad = {"failed", "cancelled", "stopped", "paused"}
    return client.until(f"/api/v1/jobs/{row['id']}/", {"succeeded"}, bad, 600, tell)


def losses(client: Client, training: dict[str, Any]) -> tuple[float, float]:
    """The first and the last reported loss."""
    points = client.call("GET", f"/api/v1/jobs/{training['id']}/metrics/")["points"]
    values = [point["values"]["loss"] for point in points if "loss" in point["values"]]
    if not values:
        raise DemoError("the training reported no loss")
    return values[0], values[-1]


def table(scores: dict[str, float], baseline: dict[str, float]) -> None:
    """The scores before and after."""
    names = [name for name in scores if isinstance(scores[name], int | float) and name in baseline]
    print(f"{'':21}{'score':<18}{'base':>10}{'tuned':>10}")
    for name in names:
        print(f"{'':21}{name:<18}{baseline[name]:>10.4g}{scores[name]:>10.4g}")


def ask(client: Client, deployment: dict[str, Any]) -> int:
    """Puts ten questions of the training set; how many answers equal the taught ones."""
    rows = [json.loads(line) for line in (HERE / "dataset.jsonl").read_text("utf-8").splitlines()]
    right = 0
    for row in random.Random(7).sample(rows, QUESTIONS):
        question = "\n".join(part for part in (row["instruction"], row.get("input")) if part)
        answer = client.call(
            "POST",
            "/v1/chat/completions",
            {
                "model": deployment["name"],
                "messages": [{"role": "user", "content": question}],
                "temperature": 0,
                "max_tokens": 128,
            },
        )["choices"][0]["message"]["content"].strip()
        equal = answer == row["output"].strip()
        right += equal
        print(f"{'':21}{'=' if equal else '≠'} {question}\n{'':23}{answer}", flush=True)
    return right


def main_job(client: Client) -> None:
    """Data to conversation, a line per step."""
    data = dataset(client)
    base = client.call("GET", "/api/v1/model-versions/?kind=base&source=demo")["results"][0]
    recipe = json.loads((HERE / "train.json").read_text("utf-8"))
    training = job(client, "train", base["id"], dataset_versions=[data["id"]], **recipe)
    first, last = losses(client, training)
    say("train", f"{training['step']} steps, loss {first:.3f} at the start, {last:.3f} at the end")
    if not last < first / 2:
        raise DemoError("the loss did not fall")
    tuned = training["output_version"]["id"]

    measured = job(
        client, "evaluate", tuned, dataset_versions=[data["id"]], settings={"max_samples": 40}
    )
    evaluation = next(row for row in measured["evaluations"] if row["baseline"])
    say("evaluate", f"base and tuned on {evaluation['rows']} rows")
    table(evaluation["scores"], evaluation["baseline"]["scores"])

    exported = job(client, "export", tuned)
    parity = exported["output_version"]["facts"]["parity"]
    say("export", f"{parity['equal']} of {parity['prompts']} answers as before")

    deployment = client.call(
        "POST", "/api/v1/deployments/", {"version": exported["output_version"]["id"]}
    )
    deployment = client.until(
        f"/api/v1/deployments/{deployment['id']}/",
        {"ready"},
        {"failed", "stopped"},
        120,
        lambda row: "",
    )
    say("deploy", f"{deployment['name']} is ready")
    right = ask(client, deployment)
    client.call("POST", f"/api/v1/deployments/{deployment['id']}/stop/")
    say("chat", f"{right} of {QUESTIONS} answers equal the taught ones")
    if right < NEEDED:
        raise DemoError(f"at least {NEEDED} of {QUESTIONS} answers should equal the taught ones")


def main() -> int:
    """The exit status: 0 when every step went well."""
    port = free_port(int(os.environ.get("PORT", "8000")))
    url = f"http://127.0.0.1:{port}"
    client = Client(url)
    # Asked to end, it ends the platform that it started, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        with served(port) as process:
            say("start", url)
            name, password = account(client)
            main_job(client)
            if sys.stdin.isatty():
                print(
                    f"\nOpen {url} and log in as {name} with {password}. Ctrl-C ends the platform."
                )
                with contextlib.suppress(KeyboardInterrupt):
                    process.wait()
            else:
                print(
                    f"\n`make run` serves the platform at http://127.0.0.1:8000;"
                    f" log in as {name} with {password}."
                )
    except DemoError as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
