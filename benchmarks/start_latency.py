"""How long after its submission an idle node has started a workload's engine process.

Starts the node's real worker and agent with a directory, a database and a small engine of its own,
and submits workloads one after the other. Prints the times of submitting and of the engine's first
instruction, in milliseconds.

    python benchmarks/start_latency.py [ROUNDS]
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOME = Path(tempfile.mkdtemp(prefix="trainer-latency-"))
os.environ |= {
    "TRAINER_HOME": str(HOME),
    "TRAINER_ENGINES_DIR": str(HOME / "engines"),
    "TRAINER_NODE": "bench",
    "TRAINER_LOG_LEVEL": "WARNING",
}
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
os.environ.pop("TRAINER_DATABASE_URL", None)
sys.path[:0] = [str(ROOT), str(ROOT / "platform")]


def spread(name, seconds):
    """One line: median and 95th percentile in milliseconds."""
    ordered = sorted(seconds)
    p95 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
    print(
        f"{name}: p50 {ordered[len(ordered) // 2] * 1000:.0f} ms, p95 {p95 * 1000:.0f} ms,"
        f" max {ordered[-1] * 1000:.0f} ms over {len(ordered)}"
    )


def main(rounds):
    """Measures, and fails when a start took longer than a second."""
    manage = [sys.executable, str(ROOT / "manage.py")]
    subprocess.run([*manage, "migrate", "-v", "0"], check=True)
    subprocess.run([*manage, "createcachetable"], check=True)
    engine = HOME / "engines" / "small" / "engine.json"
    engine.parent.mkdir(parents=True)
    script = str(ROOT / "tests" / "nodes" / "small_engine.py")
    command = [sys.executable, "-I", "-S", script]
    engine.write_text(json.dumps({"name": "small", "command": command}))
    queue = {**os.environ, "Q_CLUSTER_NAME": "node-bench"}
    worker = subprocess.Popen([*manage, "qcluster"], env=queue)
    agent = subprocess.Popen([*manage, "node_agent"])
    try:
        return measure(rounds)
    finally:
        worker.terminate()
        agent.terminate()
        worker.wait(20)
        agent.wait(20)


def measure(rounds):
    """Submits one workload after the other."""
    import django

    django.setup()
    from accounts.models import Project
    from nodes.models import Node, Workload
    from nodes.services import workload_submit

    while not Node.objects.filter(state="ready").exists():
        time.sleep(0.2)
    time.sleep(3)
    project = Project.objects.create(name="bench")
    submits, starts = [], []
    for _round in range(rounds):
        asked = time.time()
        workload = workload_submit(
            project=project,
            created_by=None,
            name="bench",
            engine="small",
            verb="train",
            inputs={},
            files={"config.yaml": json.dumps({"steps": 1})},
        )
        submits.append(time.time() - asked)
        while workload.state != Workload.State.ENDED:
            time.sleep(0.05)
            workload.refresh_from_db()
        if workload.outcome != Workload.Outcome.OK:
            sys.exit(f"{workload.outcome}: {workload.reason}\n{workload.log_path.read_text()}")
        seen = json.loads((workload.directory / "seen.json").read_text())
        starts.append(seen["started_at"] - asked)
        time.sleep(0.37)  # at another moment of the worker's polling
    spread("submit answers after", submits)
    spread("engine process runs after", starts)
    return 0 if max(starts) < 1 else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20))
