"""The check says of every row what the real engine does with it."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from datasets.checking import TRAIN, Counting, rows_check
from datasets.ingest import contents_ingest
from datasets.shapes.detect import guess
from datasets.shapes.engine import info_entry
from datasets.shapes.examples import example_of
from datasets.shapes.families import FAMILIES
from datasets.shapes.mapping import Mapping
from datasets.shapes.tokens import TokenCounter
from tests.services import ROOT, engines_dir

pytestmark = pytest.mark.engine

LIMIT = 1 << 24
Q, A = {"from": "human", "value": "Who are you?"}, {"from": "gpt", "value": "A small model."}
S = {"from": "system", "value": "Be short."}
CALL = {"from": "function_call", "value": '{"name": "clock", "arguments": {}}'}
SEEN = {"from": "observation", "value": "12:00"}


def _openai(*turns: dict[str, str]) -> list[dict[str, str]]:
    names = {"human": "user", "gpt": "assistant", "system": "system"}
    return [{"role": names[turn["from"]], "content": turn["value"]} for turn in turns]


# Rows that are well typed: what is wrong with them makes the engine drop them, silently.
DROPPED: dict[str, list[dict[str, Any]]] = {
    "alpaca": [
        {"instruction": "a", "input": "b", "output": "c"},
        {"instruction": "no answer", "input": ""},
        {"instruction": "null answer", "input": "", "output": None},
        {"input": "only input", "output": "kept"},
        {"output": "kept without a question"},
        {"instruction": "empty answer is kept", "input": None, "output": ""},
    ],
    "sharegpt": [
        {"conversations": turns}
        for turns in (
            [Q, A],
            [S, Q, A, Q, A],
            [Q, CALL, SEEN, A],
            [SEEN, A],
            [],
            [Q],
            [A],
            [S],
            [A, Q],
            [Q, A, Q],
            [Q, Q, A, A],
            [Q, S, Q, A],
            [Q, {"from": "alien", "value": "?"}],
            [Q, SEEN, A, A],
            [S, S, Q, A],
            [Q, {"from": "gpt", "value": ""}],
        )
    ],
    "openai": [
        {"messages": _openai(*turns)}
        for turns in ([Q, A], [S, Q, A], [Q, A, Q, A], [], [Q], [A, Q], [Q, A, S], [Q, Q])
    ],
    "preference": [
        {"prompt": "a", "chosen": "b", "rejected": "c"},
        {"prompt": "a", "chosen": "b"},
        {"prompt": "a", "chosen": None, "rejected": "c"},
        {"prompt": "same", "chosen": "b", "rejected": "b"},
        {"chosen": "no question is kept", "rejected": ""},
    ],
    "preference by messages": [
        {"conversations": [Q], "chosen": A, "rejected": {"from": "gpt", "value": "No."}},
        {"conversations": [S, Q, A, Q], "chosen": A, "rejected": A},
        {"conversations": [Q, A], "chosen": A, "rejected": A},
        {"conversations": [], "chosen": A, "rejected": A},
        {"conversations": [Q], "chosen": None, "rejected": A},
        {"conversations": [Q], "chosen": A},
        {"conversations": [A], "chosen": A, "rejected": A},
    ],
    "kto": [
        {"prompt": "a", "completion": "b", "label": True},
        {"prompt": "a", "completion": "b", "label": False},
        {"prompt": "a", "completion": "no mark"},
        {"prompt": "a", "completion": "b", "label": None},
        {"completion": "no question is kept", "label": True},
    ],
    "kto by messages": [
        {"conversations": [Q, A], "kto_tag": True},
        {"conversations": [S, Q, A], "kto_tag": False},
        {"conversations": [Q], "kto_tag": True},
        {"conversations": [Q, A], "kto_tag": None},
    ],
    "text": [
        {"text": "Once upon a time"},
        {"text": ""},
        {"text": None},
    ],
}
# Rows at which the engine would stop the whole training.
STOPPED: dict[str, list[Any]] = {
    "alpaca": [
        {"instruction": 5, "input": "", "output": "c"},
        {"instruction": "a", "input": "", "output": ["c"]},
        7,
    ],
    "sharegpt": [
        {"conversations": None},
        {"conversations": [{"from": "human"}, A]},
        {"conversations": [{"from": "human", "value": None}, A]},
        {"conversations": [{"from": "human", "value": 3}, A]},
        {"conversations": [Q, {"from": "function_call", "value": "not JSON"}]},
        {"conversations": "text"},
    ],
    "openai": [
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
        {"messages": [*_openai(Q), {"role": "assistant", "content": "x", "weight": 0}]},
    ],
    "preference": [{"prompt": "a", "chosen": {"x": 1}, "rejected": "c"}],
    "preference by messages": [
        {"conversations": [Q], "chosen": Q, "rejected": A},
        {"conversations": [Q], "chosen": "text", "rejected": A},
    ],
    "kto": [{"prompt": "a", "completion": "b", "label": "true"}],
    "kto by messages": [{"conversations": [], "kto_tag": True}, {"conversations": [A]}],
    "text": [{"text": 5}, {"text": ["a"]}],
}
# More rows that are good although the engine alone would not understand them.
HELPED: dict[str, list[Any]] = {
    "openai": [
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "parts"}]},
                *_openai(A),
            ]
        },
        {
            "messages": [
                *_openai(Q),
                {
                    "role": "assistant",
                    "content": None,
                    "tool_calls": [{"function": {"name": "clock", "arguments": "{}"}}],
                },
                {"role": "tool", "content": "12:00"},
                {"role": "tool", "content": "24:00"},
                *_openai(A),
            ]
        },
    ],
}
STAGES = {"alpaca": "sft", "sharegpt": "sft", "openai": "sft", "text": "pt", "kto": "kto"}


def _stage(case: str) -> str:
    return "rm" if case.startswith("preference") else STAGES.get(case.split()[0], "sft")


@pytest.fixture(scope="module")
def tokenizer_dir(tmp_path_factory) -> Path:
    """A small byte-level tokenizer with the marks of the common templates."""
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=[
            "<|endoftext|>",
            "<|im_start|>",
            "<|im_end|>",
            "<|eot_id|>",
            "<|start_header_id|>",
            "<|end_header_id|>",
            "<think>",
            "</think>",
        ],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(["the user asks, the assistant answers"] * 3, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def engine_run(script: str, *arguments: str, folder: Path) -> Any:
    """What a script answers that the engine's own Python runs in a folder."""
    found = json.loads((engines_dir() / "llamafactory" / "engine.json").read_text("utf-8"))
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
    kept |= {"PYTHONPATH": str(ROOT / "deploy" / "engines" / "llamafactory")}
    answers = folder / "answers.json"
    done = subprocess.run(
        [found["python"], str(Path(__file__).with_name(script)), *arguments, "out", str(answers)],
        cwd=folder,
        env=kept | {"PYTHONSAFEPATH": "1", "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hf")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(answers.read_text())


def _engine(cases: list[dict[str, Any]], tokenizer_dir: Path, folder: Path) -> list[dict[str, Any]]:
    """What the real loader makes of the cases."""
    (folder / "cases.json").write_text(json.dumps(cases), encoding="utf-8")
    answers = engine_run("engine_reads.py", "cases.json", str(tokenizer_dir), folder=folder)
    return list(answers)


def _checked(folder: Path, rows: list[Any], mapping: Mapping | None = None) -> tuple[Any, Mapping]:
    """Our check of the rows, and the mapping it used."""
    folder.mkdir(parents=True)
    original = folder / "original"
    original.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    contents = contents_ingest(folder, original, "a.jsonl", line_limit=LIMIT)
    mapping = mapping or guess(contents.sample).mapping
    (folder / "check").mkdir()
    return rows_check(folder / "rows.jsonl", folder / "check", mapping), mapping


def _info(folder: Path, entry: dict[str, Any]) -> str:
    (folder / "dataset_info.json").write_text(json.dumps({"it": entry}), encoding="ascii")
    return str(folder)


def test_kept_rows_are_the_engines(tmp_path: Path, tokenizer_dir: Path) -> None:
    """Of each shape: raw rows that the engine keeps, and what it gets of the nastiest file."""
    cases, expected, names = [], [], []
    for name, rows in DROPPED.items():
        raw, mapping = _checked(tmp_path / f"raw {name}", rows)
        assert mapping.shape == name.split()[0], name
        entry = info_entry(mapping, "rows.jsonl")
        entry["columns"]["query"] = mapping.columns.get("query")
        folder = _info(tmp_path / f"raw {name}", entry)
        cases.append({"directory": folder, "name": "it", "stage": _stage(name)})
        expected.append(raw.usable)
        names.append(f"{name}, raw")
        nasty = [*rows, *STOPPED[name], *HELPED.get(name, []), *rows]
        ours, _mapping = _checked(tmp_path / f"ours {name}", nasty, mapping)
        assert ours.usable == 2 * raw.usable + len(HELPED.get(name, [])), (name, ours.report())
        folder = _info(tmp_path / f"ours {name}", {**ours.entry, "file_name": f"check/{TRAIN}"})
        cases.append({"directory": folder, "name": "it", "stage": _stage(name)})
        expected.append(ours.usable)
        names.append(f"{name}, ours")
    answers = _engine(cases, tokenizer_dir, tmp_path)
    kept = [len(answer["lengths"]) if "lengths" in answer else answer for answer in answers]
    assert dict(zip(names, kept, strict=True)) == dict(zip(names, expected, strict=True))


def test_traps_of_the_engines_table(tmp_path: Path, tokenizer_dir: Path) -> None:
    """Dates are texts, early turns may be missing, columns nobody asked for do no harm."""
    dates = [{"instruction": f"When, {i}?", "output": f"2024-01-{i + 1:02}"} for i in range(20)]
    early = [{"instruction": "a", "output": "b", "history": []} for _ in range(3)]
    early += [{"instruction": "a", "output": "b", "history": [["q", "r"]]}]
    mixed = [{"instruction": "a", "output": "b", "note": i if i % 2 else "x"} for i in range(4)]
    cases, expected = [], []
    for name, rows in {"dates": dates, "early": early, "mixed": mixed}.items():
        ours, mapping = _checked(tmp_path / name, rows)
        raw = _info(tmp_path / name, info_entry(mapping, "rows.jsonl"))
        (tmp_path / f"{name} ours").mkdir()
        entry = {**ours.entry, "file_name": str(tmp_path / name / "check" / TRAIN)}
        cases += [
            {"directory": raw, "name": "it", "stage": "sft"},
            {"directory": _info(tmp_path / f"{name} ours", entry), "name": "it", "stage": "sft"},
        ]
        expected.append(len(rows))
    answers = _engine(cases, tokenizer_dir, tmp_path)
    assert "error" in answers[0]  # the engine alone takes the answers for dates
    assert "error" in answers[4]  # and stops at a column of two types that nobody asked for
    assert [len(answer.get("lengths", answer)) for answer in answers[1::2]] == expected


def test_what_carries_loss_is_the_engines(tmp_path: Path, tokenizer_dir: Path) -> None:
    """The rows as tokens mark just what the engine gives a label. Calls of tools apart: the engine
    writes them in the template's own form.
    """
    said = {"from": "gpt", "value": "好的 ok\n"}
    rows = [
        {"conversations": turns}
        for turns in (
            [Q, A],
            [S, Q, said, Q, A],
            [SEEN, A],
        )
    ]
    ours, mapping = _checked(tmp_path / "data", rows)
    folder = _info(tmp_path / "data", {**ours.entry, "file_name": f"check/{TRAIN}"})
    templates = ["chatml", "qwen", "qwen3", "llama3", "default", "alpaca"]
    common = {"directory": folder, "name": "it", "stage": "sft"}
    answers = _engine(
        [{**common, "template": template} for template in templates], tokenizer_dir, tmp_path
    )
    for template, answer in zip(templates, answers, strict=True):
        counter = TokenCounter(tokenizer_dir, FAMILIES[template])
        for row, learnt in zip(rows, answer["learnt"], strict=True):
            marked = [text for text, learns in counter.said(example_of(row, mapping)) if learns]
            assert "".join(marked) == learnt, (template, row)


def test_tokens_are_counted_at_the_check(tmp_path: Path, tokenizer_dir: Path) -> None:
    """With a tokenizer at hand the report has the lengths in tokens."""
    folder = tmp_path / "data"
    _checked(folder, [{"conversations": [Q, A]}] * 5)
    (folder / "again").mkdir()
    mapping = guess([{"conversations": [Q, A]}]).mapping
    counting = Counting("small", tokenizer_dir, "chatml")
    found = rows_check(folder / "rows.jsonl", folder / "again", mapping, counting=counting)
    assert found.tokens["count"] == 5
    assert (folder / "again" / "lengths.bin").stat().st_size == 20
