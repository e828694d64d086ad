"""The verb ``demo-model``: a small, untrained chat model with a tokenizer made from a text.

It trains on a laptop in minutes, so that the whole platform can be tried without a GPU and without
a download. The same corpus and seed give the same files.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from .workload import make_readable

os.environ["TOKENIZERS_PARALLELISM"] = "false"

END_OF_TEXT = "<|endoftext|>"
TURN_START = "<|im_start|>"
TURN_END = "<|im_end|>"
SPECIAL_TOKENS = (END_OF_TEXT, TURN_START, TURN_END)
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True)
class Shape:
    """How large the model is."""

    vocab_size: int = 4096
    hidden_size: int = 256
    layers: int = 2  # more of them learn the same rows three times slower


def _make_tokenizer(lines: list[str], vocab_size: int, folder: Path) -> dict[str, int]:
    """Train a byte-level BPE tokenizer, save it, and return its vocabulary."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(WORDS), behavior="isolated")
    bytes_only = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, bytes_only])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
        max_token_length=24,
    )
    tokenizer.train_from_iterator(lines, trainer=trainer)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=TURN_END,
        pad_token=END_OF_TEXT,
        additional_special_tokens=[TURN_START],
        clean_up_tokenization_spaces=False,
        model_max_length=2048,
    )
    wrapped.chat_template = CHAT_TEMPLATE
    wrapped.save_pretrained(folder)
    return dict(wrapped.get_vocab())


def make_demo_model(corpus: Path, folder: Path, *, seed: int, shape: Shape) -> None:
    """Write a tokenizer and a randomly initialised model into a folder."""
    import torch
    from transformers import GenerationConfig, Qwen3Config, Qwen3ForCausalLM

    lines = [line for line in corpus.read_text(encoding="utf-8").splitlines() if line.strip()]
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = _make_tokenizer(lines, shape.vocab_size, folder)
    end, pad = vocabulary[TURN_END], vocabulary[END_OF_TEXT]
    config = Qwen3Config(
        vocab_size=-(-max(len(vocabulary), 64) // 64) * 64,
        hidden_size=shape.hidden_size,
        intermediate_size=shape.hidden_size * 3,
        num_hidden_layers=shape.layers,
        num_attention_heads=max(shape.hidden_size // 64, 1),
        num_key_value_heads=max(shape.hidden_size // 128, 1),
        head_dim=64,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=pad,
        dtype="float32",
    )
    torch.manual_seed(seed)
    model = Qwen3ForCausalLM(config)
    model.generation_config = GenerationConfig(
        eos_token_id=[end, pad], pad_token_id=pad, do_sample=True, temperature=0.7, top_p=0.9
    )
    model.save_pretrained(folder)
    make_readable(folder)
    count = sum(parameter.numel() for parameter in model.parameters())
    print(f"{count:,} parameters, {len(vocabulary):,} tokens, written to {folder}")
