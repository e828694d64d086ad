"""A real, small engine: honours the contract of an entrypoint and needs nothing but Python.

`python small_engine.py VERB` in a workload's directory. `config.yaml` (JSON, which is YAML), or
instead of it a word of JSON before the verb, says what to do: `steps` and `seconds` of each, `fail`
(exit status), `raise` (an error of that class), `hold_mib` of memory, `ignore_stop`, `lines` of
log, `child` (a process of a session of its own), `read` (says the SHA-256 of every input), `save`
(a checkpoint every so many steps, the newest two are kept), `weigh` (bytes of each file it saves),
`code` (Python to run first), `waits` (after the steps, until there is a file `go`).
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

stop = False


def on_stop(number, frame):
    global stop
    stop = True


def write(path, content):
    draft = Path(f".{path}")
    draft.write_text(json.dumps(content))
    draft.replace(path)


def save(folder, number, size):
    """The engine's way: everything is there before it is announced, and old ones go after."""
    draft = Path("output") / f"tmp-{folder}"
    draft.mkdir(parents=True)
    (draft / "weights").write_bytes(hashlib.sha256(str(number).encode()).digest() * (size // 32))
    (draft / "config.json").write_text("{}")
    draft.rename(draft.with_name(folder))
    kept = sorted(Path("output").glob("checkpoint-*"), key=lambda path: path.stat().st_mtime)
    for old in kept[:-2]:
        shutil.rmtree(old)


def main():
    started = time.time()
    *given, verb = sys.argv[1:]
    config = json.loads(given[0] if given else Path("config.yaml").read_text())
    epoch = int(os.environ["TRAINER_EPOCH"])
    os.close(os.open(f"epoch-{epoch}.lock", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    signal.signal(signal.SIGTERM, signal.SIG_IGN if config.get("ignore_stop") else on_stop)
    write("seen.json", {"env": dict(os.environ), "started_at": started, "argv": sys.argv})
    print(f"started {verb}", flush=True)
    if config.get("child"):
        subprocess.Popen(["sleep", "300"], start_new_session=True)
    exec(config.get("code", ""), {"os": os})
    held = bytearray(config.get("hold_mib", 0) * 2**20)
    for index in range(0, len(held), 4096):
        held[index] = 1
    if config.get("read"):
        for folder, _folders, names in os.walk("inputs", followlinks=True):
            for path in (Path(folder, name) for name in names):
                print(f"input {path} {hashlib.sha256(path.read_bytes()).hexdigest()}", flush=True)
    steps = config.get("steps", 1)
    with Path("metrics.jsonl").open("a") as metrics:
        for step in range(1, steps + 1):
            line = {"kind": "log", "step": step, "total": steps, "values": {"loss": 1 / step}}
            metrics.write(json.dumps({**line, "time": time.time()}) + "\n")
            metrics.flush()
            print(f"step {step}", flush=True)
            if config.get("save") and step % config["save"] == 0:
                save(f"checkpoint-{step}", step, config.get("weigh", 3200))
                facts = {"kind": "checkpoint", "step": step, "name": f"checkpoint-{step}"}
                metrics.write(json.dumps({**facts, "time": time.time()}) + "\n")
                metrics.flush()
            time.sleep(config.get("seconds", 0))
            if stop:
                write(f"result-{epoch}.json", {"epoch": epoch, "status": "stopped"})
                sys.exit(75)
    while config.get("waits") and not Path("go").exists():
        time.sleep(0.02)
    for line in range(config.get("lines", 0)):
        print(f"line {line}")
    if "raise" in config:
        facts = {"type": "Trouble", "message": "It went wrong.", "class": config["raise"]}
        print(f"trainer-error: {json.dumps(facts)}", file=sys.stderr)
        sys.exit(1)
    if "fail" in config:
        sys.exit(config["fail"])
    if config.get("weigh"):
        Path("output", "model.bin").write_bytes(os.urandom(config["weigh"]))
    if not config.get("no_result"):
        write(f"result-{epoch}.json", {"epoch": epoch, "status": "finished"})


main()
