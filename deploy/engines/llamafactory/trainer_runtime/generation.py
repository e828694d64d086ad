"""Generate an answer token by token, with its own random numbers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
)
from transformers.generation.streamers import BaseStreamer

from .models import Loaded

BROKEN = "\ufffd"


@dataclass(frozen=True)
class Sampling:
    """How an answer is drawn."""

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0


@dataclass
class Answer:
    """What became of a generation."""

    text: str = ""
    tokens: list[int] = field(default_factory=list)
    finish: str = "length"


class Sampler:
    """Draws tokens with random numbers of its own: a seed belongs to one request and no other."""

    def __init__(self, sampling: Sampling, device: torch.device) -> None:
        self.sampling = sampling
        self.counts: dict[int, int] = {}
        self.generator = torch.Generator(device=device)
        if sampling.seed is None:
            self.generator.seed()
        else:
            self.generator.manual_seed(sampling.seed)

    def count(self, token: int) -> None:
        """Remember a token of the answer."""
        self.counts[token] = self.counts.get(token, 0) + 1

    def draw(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the next token for the scores of one position, as a 1 by 1 tensor."""
        logits = self._penalised(logits)
        if self.sampling.temperature == 0:
            return logits.argmax(dim=-1, keepdim=True)
        probabilities = torch.softmax(logits / self.sampling.temperature, dim=-1)
        if self.sampling.top_p < 1:
            ordered, places = probabilities.sort(dim=-1, descending=True)
            before = ordered.cumsum(dim=-1) - ordered
            ordered[before >= max(self.sampling.top_p, 1e-6)] = 0.0
            drawn = torch.multinomial(ordered, 1, generator=self.generator)
            return places.gather(1, drawn)
        return torch.multinomial(probabilities, 1, generator=self.generator)

    def _penalised(self, logits: torch.Tensor) -> torch.Tensor:
        sampling = self.sampling
        if not self.counts or not (sampling.presence_penalty or sampling.frequency_penalty):
            return logits
        logits = logits.clone()
        tokens = torch.tensor(list(self.counts), device=logits.device)
        counts = torch.tensor(list(self.counts.values()), device=logits.device)
        penalty = counts * sampling.frequency_penalty + sampling.presence_penalty
        logits[0, tokens] -= penalty.to(logits.dtype)
        return logits


class _Chosen(LogitsProcessor):
    """Leaves the token that a sampler drew as the only possible one."""

    def __init__(self, sampler: Sampler, prompt_length: int) -> None:
        self.sampler = sampler
        self.prompt_length = prompt_length

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        if input_ids.shape[1] > self.prompt_length:
            self.sampler.count(int(input_ids[0, -1]))
        chosen = self.sampler.draw(scores.float())
        only = torch.full_like(scores, -torch.inf)
        return only.scatter_(1, chosen, 0.0)


class Transcript:
    """Turns tokens into text as they come: never half a character, never past a stop text."""

    def __init__(self, tokenizer: Any, stop: Sequence[str], on_text: Callable[[str], None]) -> None:
        self.tokenizer = tokenizer
        self.stop = [text for text in stop if text]
        self.on_text = on_text
        self.tokens: list[int] = []
        self.text = ""
        self.stopped = False
        self._pending = ""
        self._prefix = 0
        self._read = 0

    def _decoded(self, start: int, end: int | None = None) -> str:
        return str(
            self.tokenizer.decode(
                self.tokens[start:end],
                skip_special_tokens=True,
                clean_up_tokenization_spaces=False,
            )
        )

    def add(self, token: int) -> None:
        """Take one token in and pass on the text that is certain by now."""
        self.tokens.append(token)
        known = self._decoded(self._prefix, self._read)
        whole = self._decoded(self._prefix)
        if len(whole) <= len(known) or whole.endswith(BROKEN):
            return
        self._prefix, self._read = self._read, len(self.tokens)
        self._pass_on(whole[len(known) :])

    def close(self) -> None:
        """Pass on what was held back; a character that never became whole is dropped."""
        if self.stopped:
            return
        known = self._decoded(self._prefix, self._read)
        rest = self._decoded(self._prefix)[len(known) :].rstrip(BROKEN)
        if rest:
            self._pass_on(rest)
        if not self.stopped:
            self._emit(self._pending)
            self._pending = ""

    def _emit(self, text: str) -> None:
        if text:
            self.text += text
            self.on_text(text)

    def _pass_on(self, text: str) -> None:
        self._pending += text
        found = [place for stop in self.stop if (place := self._pending.find(stop)) >= 0]
        if found:
            self._emit(self._pending[: min(found)])
            self._pending = ""
            self.stopped = True
            return
        held = self._possible_stop_length()
        cut = len(self._pending) - held
        self._emit(self._pending[:cut])
        self._pending = self._pending[cut:]

    def _possible_stop_length(self) -> int:
        """Return how much of the end could be the beginning of a stop text."""
        longest = 0
        for stop in self.stop:
            for length in range(min(len(stop) - 1, len(self._pending)), longest, -1):
                if self._pending.endswith(stop[:length]):
                    longest = length
                    break
        return longest


class _Receiver(BaseStreamer):
    """Hands new tokens to a transcript; the first call brings the prompt."""

    def __init__(self, transcript: Transcript, stop_ids: Sequence[int]) -> None:
        self.transcript = transcript
        self.stop_ids = set(stop_ids)
        self.count = 0
        self.ended = False
        self._prompt_seen = False

    def put(self, value: torch.Tensor) -> None:
        if not self._prompt_seen:
            self._prompt_seen = True
            return
        for token in value.reshape(-1).tolist():
            self.count += 1
            if token in self.stop_ids:
                self.ended = True
            else:
                self.transcript.add(token)

    def end(self) -> None:
        self.transcript.close()


class _Ended(StoppingCriteria):
    """Ends a generation that found a stop text or that nobody waits for any more."""

    def __init__(self, transcript: Transcript, cancelled: threading.Event) -> None:
        self.transcript = transcript
        self.cancelled = cancelled

    def __call__(
        self, input_ids: torch.LongTensor, scores: torch.FloatTensor, **kwargs: Any
    ) -> torch.BoolTensor:
        ended = self.transcript.stopped or self.cancelled.is_set()
        return torch.full((input_ids.shape[0],), ended, device=input_ids.device)


@torch.inference_mode()
def generate(
    loaded: Loaded,
    prompt: Sequence[int],
    sampling: Sampling,
    on_text: Callable[[str], None],
    cancelled: threading.Event,
) -> tuple[Answer, int]:
    """Generate an answer; return it and the number of tokens that were made for it."""
    device = loaded.model.device
    inputs = torch.tensor([list(prompt)], device=device)
    transcript = Transcript(loaded.tokenizer, sampling.stop, on_text)
    receiver = _Receiver(transcript, loaded.stop_ids)
    loaded.model.generate(
        input_ids=inputs,
        attention_mask=torch.ones_like(inputs),
        generation_config=GenerationConfig(
            max_new_tokens=sampling.max_tokens,
            do_sample=False,
            eos_token_id=loaded.stop_ids,
            pad_token_id=loaded.pad_id,
        ),
        logits_processor=LogitsProcessorList([_Chosen(Sampler(sampling, device), len(prompt))]),
        stopping_criteria=StoppingCriteriaList([_Ended(transcript, cancelled)]),
        streamer=receiver,
    )
    finish = "stop" if receiver.ended or transcript.stopped else "length"
    return Answer(transcript.text, transcript.tokens, finish), receiver.count
