"""Answer many requests in one batch that requests join and leave while it runs.

One forward pass makes one token for every running request. A new request is read on its own and
then put beside the others: shorter rows are filled up on the left, where the mask hides them.
"""

from __future__ import annotations

import inspect
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from .generation import Answer, Sampler, Sampling, Transcript
from .models import Loaded

OnEnd = Callable[[Answer | None, int, Exception | None], None]


@dataclass
class Row:
    """One request on its way."""

    prompt: Sequence[int]
    sampler: Sampler
    transcript: Transcript
    cancelled: threading.Event
    on_end: OnEnd
    cached: int = 0
    last: int = 0
    made: int = 0

    def take(self, token: int, stop_ids: set[int]) -> str | None:
        """Take a new token in; return why the answer ends with it, None where it goes on."""
        self.made += 1
        self.last = token
        self.sampler.count(token)
        if token in stop_ids:
            return "stop"
        self.transcript.add(token)
        if self.transcript.stopped:
            return "stop"
        if self.made >= self.sampler.sampling.max_tokens:
            return "length"
        return None

    def end(self, finish: str) -> None:
        """Hand the answer over."""
        self.transcript.close()
        finish = "stop" if self.transcript.stopped else finish
        answer = Answer(self.transcript.text, self.transcript.tokens, finish)
        self.on_end(answer, self.made, None)


@torch.inference_mode()
def can_batch(loaded: Loaded) -> bool:
    """Tell whether the model keeps its past in a form that rows can be put beside each other in."""
    from transformers.cache_utils import DynamicCache, DynamicLayer

    if "position_ids" not in inspect.signature(loaded.model.forward).parameters:
        return False
    ids = torch.tensor([[loaded.pad_id]], device=loaded.model.device)
    cache = loaded.model(input_ids=ids, use_cache=True).past_key_values
    return type(cache) is DynamicCache and all(type(one) is DynamicLayer for one in cache.layers)


def _filled(tensor: torch.Tensor, width: int) -> torch.Tensor:
    """Fill a layer's keys or values up on the left."""
    missing = width - tensor.shape[-2]
    if missing == 0:
        return tensor
    shape = [*tensor.shape[:-2], missing, tensor.shape[-1]]
    return torch.cat([tensor.new_zeros(shape), tensor], dim=-2)


class Batch:
    """The rows that run, and their shared past."""

    def __init__(self, loaded: Loaded) -> None:
        self.model = loaded.model
        self.stop_ids = set(loaded.stop_ids)
        self.rows: list[Row] = []
        self._cache: Any = None
        self._mask = torch.zeros((0, 0), dtype=torch.long, device=self.model.device)
        forward = inspect.signature(self.model.forward).parameters
        self._short = {"logits_to_keep": 1} if "logits_to_keep" in forward else {}

    def join(self, row: Row) -> None:
        """Read a request's prompt, make its first token, and put it beside the others."""
        ids = torch.tensor([list(row.prompt)], device=self.model.device)
        read = self.model(input_ids=ids, use_cache=True, **self._short)
        row.cached = len(row.prompt)
        token = int(row.sampler.draw(read.logits[:, -1].float()))
        finish = row.take(token, self.stop_ids)
        if finish:
            row.end(finish)
            return
        mask = torch.ones_like(ids)
        if not self.rows:
            self._cache, self._mask, self.rows = read.past_key_values, mask, [row]
            return
        try:
            self._put_beside(read.past_key_values, mask)
        except Exception as error:
            self.fail(error)  # the layers may be of different sizes now
            raise
        self.rows.append(row)

    def _put_beside(self, cache: Any, mask: torch.Tensor) -> None:
        """Add the past of one row to the shared past."""
        width = max(self._mask.shape[1], mask.shape[1])
        for mine, new in zip(self._cache.layers, cache.layers, strict=True):
            mine.keys = torch.cat([_filled(mine.keys, width), _filled(new.keys, width)])
            mine.values = torch.cat([_filled(mine.values, width), _filled(new.values, width)])
        pad = torch.nn.functional.pad
        masks = [pad(one, (width - one.shape[1], 0)) for one in (self._mask, mask)]
        self._mask = torch.cat(masks)

    def step(self) -> None:
        """Make one token for every row; rows that end leave."""
        device = self.model.device
        ids = torch.tensor([[row.last] for row in self.rows], device=device)
        places = torch.tensor([[row.cached] for row in self.rows], device=device)
        self._mask = torch.cat([self._mask, torch.ones_like(ids)], dim=1)
        made = self.model(
            input_ids=ids,
            attention_mask=self._mask,
            position_ids=places,
            past_key_values=self._cache,
            use_cache=True,
        )
        logits = made.logits[:, -1].float()
        drawn = [row.sampler.draw(logits[i : i + 1]) for i, row in enumerate(self.rows)]
        ended: list[int] = []
        for place, token in enumerate(torch.cat(drawn).flatten().tolist()):
            row = self.rows[place]
            row.cached += 1
            finish = row.take(token, self.stop_ids)
            if finish:
                row.end(finish)
                ended.append(place)
        self._remove(ended)

    def drop_cancelled(self) -> None:
        """Let rows go that nobody waits for any more."""
        gone = [place for place, row in enumerate(self.rows) if row.cancelled.is_set()]
        for place in gone:
            self.rows[place].end("stop")
        self._remove(gone)

    def fail(self, error: Exception) -> None:
        """End every row with an error and begin anew."""
        for row in self.rows:
            row.on_end(None, 0, error)
        self._clear()

    def _clear(self) -> None:
        self.rows, self._cache, self._mask = [], None, self._mask[:0, :0]

    def _remove(self, places: list[int]) -> None:
        if not places:
            return
        kept = [place for place in range(len(self.rows)) if place not in places]
        if not kept:
            self._clear()
            return
        self.rows = [self.rows[place] for place in kept]
        index = torch.tensor(kept, device=self._mask.device)
        mask = self._mask[index]
        first = mask.shape[1] - max(row.cached for row in self.rows)
        self._mask = mask[:, first:].contiguous()
        for layer in self._cache.layers:
            chosen = index.to(layer.keys.device)
            layer.keys = layer.keys[chosen][:, :, first:].contiguous()
            layer.values = layer.values[chosen][:, :, first:].contiguous()


class Batcher:
    """A thread that keeps a batch going; further requests wait until a row is free."""

    def __init__(self, loaded: Loaded, size: int) -> None:
        self.loaded = loaded
        self.size = size
        self._waiting: deque[Row] = deque()
        self._news = threading.Condition()
        self._batch = Batch(loaded)
        threading.Thread(target=self._work, name="batch", daemon=True).start()

    def submit(
        self,
        prompt: Sequence[int],
        sampling: Sampling,
        on_text: Callable[[str], None],
        on_end: OnEnd,
        cancelled: threading.Event,
    ) -> None:
        """Queue a request; both callbacks come from the batch's thread."""
        sampler = Sampler(sampling, self.loaded.model.device)
        transcript = Transcript(self.loaded.tokenizer, sampling.stop, on_text)
        with self._news:
            self._waiting.append(Row(prompt, sampler, transcript, cancelled, on_end))
            self._news.notify()

    def _next(self) -> Row | None:
        with self._news:
            while not self._waiting and not self._batch.rows:
                self._news.wait()
            if self._waiting and len(self._batch.rows) < self.size:
                return self._waiting.popleft()
        return None

    @torch.inference_mode()
    def _work(self) -> None:
        while True:
            while row := self._next():
                if row.cancelled.is_set():
                    row.end("stop")
                    continue
                try:
                    self._batch.join(row)
                except Exception as error:  # noqa: BLE001 - one request may fail alone
                    row.on_end(None, 0, error)
                if self._batch.rows:
                    break
            if not self._batch.rows:
                continue
            try:
                self._batch.drop_cancelled()
                if self._batch.rows:
                    self._batch.step()
            except Exception as error:  # noqa: BLE001 - the server goes on
                self._batch.fail(error)
