"""Counting tokens: long texts in parts, in bounded memory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from datasets.shapes.templates import Template
from datasets.shapes.tokens import AT_ONCE, TokenCounter
from datasets.shapes.turns import Example
from tests.services import ROOT

MEASURED = """
import sys
from pathlib import Path
from datasets.shapes.turns import Example
from datasets.shapes.templates import Template
from datasets.shapes.tokens import TokenCounter
from tests.memory import peak_kilobytes
counter = TokenCounter(Path(sys.argv[1]), Template())
example = Example(text="word " * 400_000)
before = peak_kilobytes()
print(counter.lengths([example])[0], peak_kilobytes() - before)
"""


@pytest.fixture(scope="module")
def tokenizer_dir(tmp_path_factory) -> Path:
    """One token a letter, and spaces begin words."""
    folder = tmp_path_factory.mktemp("tokenizer")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({sign: i for i, sign in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.mark.parametrize("text", ["word " * AT_ONCE, "x" * (2 * AT_ONCE + 1), "a b" * AT_ONCE])
def test_the_parts_are_the_text(tokenizer_dir: Path, text: str) -> None:
    """No letter is lost or counted twice, and short texts around it keep their own lengths."""
    counter = TokenCounter(tokenizer_dir, Template())
    texts = ["short", text, "", "shorter", text + "!"]
    found = counter.lengths([Example(text=one) for one in texts])
    assert found == [len(one) + 1 for one in texts]


def test_a_long_text_takes_little_memory(tokenizer_dir: Path) -> None:
    """2 MB of text at once would take several hundred."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(tokenizer_dir)],
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'platform'}"},
        capture_output=True,
        text=True,
        check=True,
    )
    tokens, kilobytes = map(int, done.stdout.split())
    assert tokens == 2_000_001
    assert kilobytes < 48 * 1024


def test_splitting_rows_into_tokens_starts_without_django() -> None:
    """Each page of tokens starts that process: what it loads is what people wait for."""
    code = "import sys, datasets.tokenizing; print('django' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
