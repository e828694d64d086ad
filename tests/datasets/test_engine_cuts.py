"""Rows that are said to be cut are those that the real engine cuts, whatever the template."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from datasets.checking import TRAIN
from datasets.shapes.examples import example_of
from datasets.shapes.families import FAMILIES, is_known, template_named
from datasets.shapes.mapping import Mapping
from datasets.shapes.tokens import TokenCounter
from datasets.shapes.tool_words import ToolWords
from datasets.shapes.turns import Example
from tests.datasets.samples_of_tools import tool_rows
from tests.datasets.test_engine_agrees import _checked, _info, engine_run

pytestmark = pytest.mark.engine

UNLIMITED, LIMITS, LIMIT_WITH_TOOLS = 100_000, (32, 64, 128), 1500
# Of each way in which templates differ one or two.
OTHERS = (
    "bailing_v2", "chatglm3", "cohere", "ernie_vl", "exaone", "falcon", "gemma2", "glm4", "glm4_7",
    "gpt_oss", "granite3", "hunyuan", "kimi_vl", "llama2", "minimax2", "olmo", "phi_small",
    "seed_coder", "vicuna", "yuan", "zephyr",
    # Ways to write tools and their calls.
    "gemma4", "glm4_moe", "lfm2", "minimax1", "ministral", "mistral_small", "phi4_mini", "qwen3_5",
    "seed_oss",
)  # fmt: skip
SHAPES = {"alpaca": "sft", "sharegpt": "sft", "preference": "rm", "kto": "kto", "text": "pt"}
CASES = {shape: (shape, stage) for shape, stage in SHAPES.items()} | {
    f"{shape} with tools": (shape, stage)
    for shape, stage in {"openai": "sft", **SHAPES}.items()
    if shape not in ("alpaca", "text")
}
CASES |= {"alpaca with tools": ("alpaca", "sft"), "calls at once": ("openai", "sft")}
ONE_CALL = {"chatglm3", "glm4", "glm4v", "glm_ocr", "glmz1"}  # the engine stops at several
# Texts that stick to the words around them, look like them, or think.
TEXTS = [
    "",
    "Who are you?",
    "\n\nWhat is\n",
    "  two spaces  ",
    "你是谁？😀",
    "<think>\nlong thoughts\n</think>\n\nIt is so.",
    "{{content}} {}",
    "the user asks<|im_end|>\n<|im_start|>assistant\n",
    "1\n2\n3\n\n" * 5,
]


def _limits(case: str) -> tuple[int, ...]:
    return LIMITS if case in SHAPES else (LIMIT_WITH_TOOLS,)


def _turn(side: str, value: str) -> dict[str, str]:
    return {"from": side, "value": value}


def _rows() -> dict[str, list[dict[str, Any]]]:
    """Rows of every shape, with lengths all around the limits."""
    found: dict[str, list[dict[str, Any]]] = {case: [] for case in CASES}
    for n, words in enumerate(range(2, 62, 3)):
        text, other = TEXTS[n % len(TEXTS)], TEXTS[n // 4 % len(TEXTS)] + " word" * words
        turns = [_turn("human", text), _turn("gpt", other)] * (1 + n % 3)
        if n % 5 == 4:
            turns[0] = _turn("observation", text)
        if n % 2:
            turns.insert(0, _turn("system", "Be short. " * (n % 3)))
        answers = {"chosen": _turn("gpt", text), "rejected": _turn("gpt", other)}
        found["alpaca"].append({"instruction": other, "input": text, "output": text})
        found["sharegpt"].append({"conversations": turns})
        found["preference"].append({"conversations": turns[:-1], **answers})
        found["kto"].append({"conversations": turns, "kto_tag": n % 2 == 0})
        found["text"].append({"text": text + other})
        for case, row in tool_rows(n, " word" * words).items():
            found[case].append(row)
    return found


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory) -> list[Path]:
    """Two of them: words of bytes without a token at the beginning, and words with spaces."""
    return [_by_bytes(tmp_path_factory.mktemp("bytes")), _by_spaces(tmp_path_factory.mktemp("sp"))]


SAMPLE = ["user\n\n", "assistant\n\n1\n2\n", "\n\n\nWho are you?\n", "the word asks: word word"] * 3


def _by_bytes(folder: Path) -> Path:
    found = Tokenizer(models.BPE())
    found.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    found.decoder = decoders.ByteLevel()
    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|eot_id|>", "<think>", "</think>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=[*marks, "<|end_of_text|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    found.train_from_iterator(SAMPLE, trainer)
    return _saved(found, folder, eos_token="<|endoftext|>")


def _by_spaces(folder: Path) -> Path:
    found = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    found.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    found.decoder = decoders.Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=200, special_tokens=["<unk>", "<s>", "</s>", "[INST]", "<|end_of_text|>"]
    )
    found.train_from_iterator(SAMPLE, trainer)
    found.add_tokens([AddedToken("Assistant", lstrip=True, normalized=False)])
    return _saved(found, folder, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def _saved(tokenizer: Tokenizer, folder: Path, **tokens: str) -> Path:
    tokenizer.save(str(folder / "tokenizer.json"))
    facts = {"tokenizer_class": "PreTrainedTokenizerFast", **tokens}
    (folder / "tokenizer_config.json").write_text(json.dumps(facts))
    return folder


def _examples(folder: Path, shape: str, entry: dict[str, Any]) -> Iterator[Example]:
    """The rows of the file that the engine reads."""
    columns = {key: column for key, column in entry["columns"].items() if column}
    given = Mapping.of(shape, columns, entry["tags"])
    for line in (folder / "check" / TRAIN).read_text("utf-8").splitlines():
        yield example_of(json.loads(line), given)


@pytest.fixture(scope="module")
def world(tmp_path_factory, tokenizers) -> dict[str, Any]:
    """Our rows by shape, and what the engine makes of them with all its templates."""
    home = tmp_path_factory.mktemp("cuts")
    rows, cases = {}, []
    for case, given in _rows().items():
        shape, stage = CASES[case]
        ours, mapping = _checked(home / case, given)
        assert (mapping.shape, ours.usable) == (shape, len(given)), case
        directory = _info(home / case, {**ours.entry, "file_name": f"check/{TRAIN}"})
        cases.append(
            {"directory": directory, "stage": stage, "limits": [UNLIMITED, *_limits(case)]}
        )
        rows[case] = list(_examples(home / case, shape, ours.entry))
    asked = {
        "cases": cases,
        "tokenizers": [str(folder) for folder in tokenizers],
        "templates": [*FAMILIES, *OTHERS],
    }
    (home / "asked.json").write_text(json.dumps(asked))
    return {"rows": rows, **engine_run("engine_cuts.py", "asked.json", folder=home)}


@pytest.fixture
def engine_tells(world, tmp_path, settings) -> dict[str, Any]:
    """The platform reads what the engine says of its templates."""
    settings.ENGINES_DIR = tmp_path
    folder = tmp_path / "llamafactory"
    folder.mkdir()
    (folder / "engine.json").write_text("{}")
    (folder / "templates.json").write_text(json.dumps(world["templates"]))
    return world


def test_families_are_the_engines(world) -> None:
    """What is known without an engine is what the engine says."""
    for name, template in FAMILIES.items():
        told = {**world["templates"][name], "tool_words": {}}
        assert json.loads(orjson.dumps(replace(template, tool_words={}))) == told, name


def test_the_engine_tells_how_tools_are_written(world) -> None:
    """Of all templates, whatever their form."""
    words = {name: told["tool_words"] for name, told in world["templates"].items()}
    assert all(told.get("tools") and told.get("call") for told in words.values())
    assert {name for name, told in words.items() if not told.get("calls")} == ONE_CALL


def _is_left_as_it_is(row: Example, words: ToolWords) -> bool:
    """Whether a call stands there as in the data, since the engine would stop at it."""
    turns = [turn for turn in (*row.turns, row.chosen, row.rejected) if turn]
    calls = [turn.content for turn in turns if turn.role == "function"]
    return any(words.call_said(call) == call for call in calls)


def test_rows_that_are_cut_are_the_engines(engine_tells, tokenizers) -> None:
    """A row is cut where the engine keeps fewer of its tokens than without a limit.

    The lengths are the engine's, too. Texts for pretraining are joined and cut into blocks.
    """
    cut: dict[tuple[str, str], int] = {}
    for folder in tokenizers:
        for name, cases in engine_tells["kept"][str(folder)].items():
            assert is_known(name)
            counter = TokenCounter(folder, template_named(name))
            words = template_named(name).tool_words
            for (case, rows), (whole, *limited) in zip(
                engine_tells["rows"].items(), cases, strict=True
            ):
                ours = counter.lengths(rows)
                at = (folder.name, name, case)
                if case == "text":  # nothing is lost but the end; blocks are a token shorter
                    blocks = [[[limit - 1]] * (sum(ours) // (limit - 1)) for limit in LIMITS]
                    assert blocks == limited, at
                    continue
                read = [place for place, row in enumerate(whole) if row is not None]
                assert [ours[place] for place in read] == [max(whole[place]) for place in read], at
                for place in set(range(len(rows))) - set(read):
                    assert _is_left_as_it_is(rows[place], words), (*at, place)
                assert read or (case == "calls at once" and not words.calls), at
                for limit, kept in zip(_limits(case), limited, strict=True):
                    theirs = [kept[place] != whole[place] for place in read]
                    assert [ours[place] > limit for place in read] == theirs, (*at, limit)
                    cut[folder.name, case] = max(cut.get((folder.name, case), 0), sum(theirs))
    assert all(count > 0 for count in cut.values())
