"""Reading, checking and counting a big JSONL file, and looking through its rows.

Three readers get the same generated file, one after the other, each in a process of its own: this
platform reads, checks and counts it; the training engine merely reads it; Hugging Face `datasets`,
in an environment that is made for it, reads, counts and filters it. Then the file is uploaded to a
really started platform, and pages of its rows are asked for at many places. Prints seconds, the
most memory, and the ratios.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from running import ROOT, Failed, Platform, p95, platform, run, session, spread, verdict
from web_memory import address, answer, checked, upload

from tests.services import engines_dir

MB = 1_000_000
LIMIT_MB = 1000
RATIO = 1.5
PAGE_SECONDS = 0.3
PLACES = 20
LENGTH = 600  # characters of a row that the filter asks for
TEMPLATES = 500
HF = "datasets==4.0.0"
WORDS = [
    *("the", "of", "and", "to", "in", "model", "data", "learns", "from", "people", "who", "ask"),
    *("what", "weather", "tomorrow", "brings", "when", "rain", "falls", "on", "old", "towns"),
]
SIGNS = (
    "我们今天去看天气预报说明天下雨所以不要忘记带伞学习语言需要时间和耐心城市里的人很多路上车也不少"
)

OURS = """
    import json, resource, sys, time
    from pathlib import Path
    import django, orjson
    django.setup()
    from datasets.checking import Counting, rows_check
    from datasets.ingest import contents_ingest, no_progress
    from datasets.recipes.kinds import steps_checked
    from datasets.recipes.pipeline import apply
    from datasets.shapes.detect import guess
    from datasets.statistics.counting import statistics_compute
    folder, tokenizer = Path(sys.argv[1]), Path(sys.argv[2])
    seconds, began = {}, time.perf_counter()
    def done(name):
        global began
        seconds[name] = time.perf_counter() - began
        began = time.perf_counter()
    found = contents_ingest(folder, folder / "original", "rows.jsonl", line_limit=16 << 20)
    done("read and index")
    for name in ("check", "facts"):
        (folder / name).mkdir()
    mapping = guess(found.sample).mapping
    rows, check = folder / "rows.jsonl", folder / "check"
    rows_check(rows, check, mapping, counting=Counting("demo", tokenizer, "chatml"))
    done("check and tokens")
    counts = statistics_compute(rows, check, folder / "facts", mapping, progress=no_progress)
    done("statistics")
    off = dict.fromkeys(("encoding", "unicode", "space"), False)
    steps = steps_checked([{"kind": "clean", "parameters": off | {"min_chars": int(sys.argv[3])}}])
    with rows.open("rb") as file, (folder / "kept.jsonl").open("wb") as target:
        values = map(orjson.loads, file)
        left, _said = apply(values, steps, mapping=mapping, seed=1, folder=folder / "steps")
        kept = 0
        for kept, row in enumerate(left, start=1):
            target.write(orjson.dumps(row.value, option=orjson.OPT_APPEND_NEWLINE))
    done("filter")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(json.dumps({"seconds": seconds, "rows": counts["rows"], "kept": kept, "peak": peak}))
"""
ENGINE = """
    import json, resource, sys, time
    from llamafactory.data.loader import _get_merged_dataset
    from llamafactory.hparams import DataArguments, ModelArguments
    from transformers import Seq2SeqTrainingArguments
    folder = sys.argv[1]
    data = DataArguments(template="chatml", dataset=["bench"], dataset_dir=folder)
    model = ModelArguments(model_name_or_path="none", cache_dir=folder + "/engine")
    place = folder + "/engine"
    training = Seq2SeqTrainingArguments(output_dir=place, use_cpu=True, report_to="none")
    began = time.perf_counter()
    rows = _get_merged_dataset(["bench"], model, data, training, "sft")
    seconds = {"read": time.perf_counter() - began}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(json.dumps({"seconds": seconds, "rows": len(rows), "peak": peak}))
"""
THEIRS = """
    import json, resource, sys, time
    from datasets import load_dataset
    folder = sys.argv[1]
    began = time.perf_counter()
    rows = load_dataset(
        "json", data_files=folder + "/original.jsonl", split="train", cache_dir=folder + "/theirs"
    )
    seconds, began = {"read and count": time.perf_counter() - began}, time.perf_counter()
    least, columns = int(sys.argv[2]), ("instruction", "input", "output")
    kept = rows.filter(lambda row: sum(len(row[name]) for name in columns) >= least)
    seconds["filter"] = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(json.dumps({"seconds": seconds, "rows": len(rows), "kept": len(kept), "peak": peak}))
"""


def blocks(size: int) -> Iterator[bytes]:
    """Rows in Chinese and English of many lengths, until there are so many bytes."""
    draw = random.Random(1)
    templates = [_template(draw) for _ in range(TEMPLATES)]
    number = made = 0
    while made < size:
        lines = [template % (number + place) for place, template in enumerate(templates)]
        number += TEMPLATES
        block = "".join(lines).encode()
        made += len(block)
        yield block


def _template(draw: random.Random) -> str:
    length = int(draw.lognormvariate(4.6, 0.7)) + 5
    if draw.random() < 0.5:
        answer = "".join(draw.choices(SIGNS, k=2 * length))
        asked = "问题 %09d：" + "".join(draw.choices(SIGNS, k=length // 4))
    else:
        answer = " ".join(draw.choices(WORDS, k=length))
        asked = "Question %09d: " + " ".join(draw.choices(WORDS, k=length // 4))
    row = {"instruction": asked, "input": "", "output": answer, "source": draw.choice("abc")}
    return json.dumps(row, ensure_ascii=False) + "\n"


def measured(python: Path, script: str, *arguments: object, **env: str) -> dict[str, Any]:
    """What the script prints at its end, run by this interpreter in a process of its own."""
    known = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    quiet = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    done = subprocess.run(
        [str(python), "-c", textwrap.dedent(script), *map(str, arguments)],
        env=known | quiet | env,
        cwd=tempfile.gettempdir(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Failed(f"{python}:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def table(name: str, found: dict[str, Any]) -> float:
    """Prints what a reader took; the seconds of all its parts."""
    parts = ", ".join(f"{part} {seconds:.2f} s" for part, seconds in found["seconds"].items())
    total = sum(found["seconds"].values())
    kept = f", {found['kept']:,} kept" if "kept" in found else ""
    print(
        f"{name}: {total:.1f} s ({parts}), {found['peak']:.0f} MB, {found['rows']:,} rows{kept}",
        flush=True,
    )
    return total


def readers(folder: Path, tokenizer: Path) -> None:
    """The three readers, and how they compare."""
    paths = f"{ROOT}:{ROOT / 'platform'}"
    settings = {"DJANGO_SETTINGS_MODULE": "config.settings", "PYTHONPATH": paths}
    ours = measured(
        Path(sys.executable), OURS, folder, tokenizer, LENGTH, TRAINER_HOME=str(folder), **settings
    )
    took = table("this platform", ours) - ours["seconds"]["filter"]
    columns = {"prompt": "instruction", "query": "input", "response": "output"}
    entry = {"bench": {"file_name": "original.jsonl", "columns": columns}}
    (folder / "dataset_info.json").write_text(json.dumps(entry))
    (folder / "original.jsonl").symlink_to(folder / "original")
    engine = engines_dir() / "llamafactory" / "venv" / "bin" / "python"
    read = table("the engine, merely reading", measured(engine, ENGINE, folder, PYTHONSAFEPATH="1"))
    theirs = measured(_environment(folder), THEIRS, folder, LENGTH, PYTHONSAFEPATH="1")
    table(f"Hugging Face {HF}", theirs)
    for counted in ("rows", "kept"):
        if ours[counted] != theirs[counted]:
            raise Failed(f"{counted}: {ours[counted]} here, {theirs[counted]} there")
    same = theirs["seconds"]["read and count"] / ours["seconds"]["read and index"]
    print(f"reading and counting: {same:.2f} times as fast as Hugging Face")
    same = theirs["seconds"]["filter"] / ours["seconds"]["filter"]
    print(f"a filter by length: {same:.2f} times as fast")
    ratio = took / read
    verdict(
        "all but the filter against the engine's reading",
        ratio,
        "",
        goal="at most 1.5",
        met=ratio <= RATIO,
    )
    peak = ours["peak"]
    verdict("most memory", peak, "MB", goal=f"under {LIMIT_MB} MB", met=peak < LIMIT_MB)


def _environment(folder: Path) -> Path:
    """The interpreter of a new environment with Hugging Face `datasets`."""
    venv = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    pip = [
        venv / "bin" / "python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]
    subprocess.run([*map(str, pip), HF], check=True)
    return venv / "bin" / "python"


def pages(running: Platform, size: int) -> None:
    """Pages of the rows at many places, in all ways of looking at them."""
    key = running.register("bench")
    cookie = session(running, "bench")
    total = sum(map(len, blocks(size)))
    made, _digest = upload(running, key, "big", total, blocks(size))
    began = time.monotonic()
    version = checked(running, key, made)
    print(f"uploaded and checked after {time.monotonic() - began:.0f} s", flush=True)
    began = time.monotonic()
    running.until(f"{address(version)}statistics/", key, {"done", "failed"}, 1800)
    print(f"counted after {time.monotonic() - began:.0f} s more", flush=True)
    rows, page = version["rows"], address(version).removeprefix("/api/v1")
    ways = {
        "in the order of the file": "",
        "longest first": "&order=long",
        "filtered by length and ordered": "&shortest=100&order=short",
        "as tokens": "&view=tokens",
    }
    by_columns = {
        "in the order of a text column": "&order=up:instruction",
        "of a column's value, falling": "&column=source&op=is&value=b&order=down:instruction",
        "with words in a column": "&column=output&op=contains&value=weather&order=up:source",
    }
    matching = dict.fromkeys(ways, rows)
    for name, way in by_columns.items():
        began = time.monotonic()
        found = running.until(f"{address(version)}rows/?{way[1:]}", key, {"done", "failed"}, 1800)
        print(f"first page {name}: after {time.monotonic() - began:.0f} s", flush=True)
        matching[name] = found["matching"]
    slowest = 0.0
    for name, way in (ways | by_columns).items():
        last = matching[name] - 10
        if last < 0:
            raise Failed(f"no rows {name}")
        places = [1 + last * place // PLACES for place in range(PLACES + 1)]
        seconds = [_seconds(running, f"{page}?from={place}{way}", cookie) for place in places]
        spread(f"a page {name}, {len(places)} places of {matching[name]:,} rows", seconds)
        slowest = max(slowest, p95(seconds))
    wanted = f"under {PAGE_SECONDS * 1000:.0f} ms"
    met = slowest < PAGE_SECONDS
    verdict("p95 of a page in the slowest way", slowest * 1000, "ms", goal=wanted, met=met)


def _seconds(running: Platform, path: str, cookie: str) -> float:
    began = time.perf_counter()
    with answer(running, path, cookie=cookie) as response:
        response.read()
    return time.perf_counter() - began


def main(size: int, *, only_readers: bool) -> None:
    """The readers, and then the pages."""
    if shutil.disk_usage(tempfile.gettempdir()).free < 8 * size:
        raise Failed(f"{8 * size // MB} MB of disk are needed in {tempfile.gettempdir()}")
    with platform() as running:
        folder = running.home / "temp" / "bench"
        folder.mkdir()
        with (folder / "original").open("wb") as file:
            file.writelines(blocks(size))
        readers(folder, running.home / "models" / "demo")
        shutil.rmtree(folder)
        if not only_readers:
            pages(running, size)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size-mb", type=int, default=1000)
    parser.add_argument("--only-readers", action="store_true", help="no pages")
    chosen = parser.parse_args()
    run(
        lambda: main(chosen.size_mb * MB, only_readers=chosen.only_readers),
        "reading, checking and counting a JSONL file, and pages of its rows",
    )
