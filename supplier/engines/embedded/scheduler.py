"""Continuous batching: every step advances all running sequences, new ones join between steps.

A step computes at most about CHUNK_TOKENS of prompts and one token of each running sequence, so
a long prompt never stalls the others for long. First come, first served; a slot each.
"""

from collections import deque

from supplier.engines.embedded.cache import KeyValueCache
from supplier.engines.embedded.model import CHUNK_TOKENS, Model
from supplier.engines.embedded.sequence import Sequence, TokenEvent

__all__ = ["Scheduler", "StepEvents"]

StepEvents = list[tuple[Sequence, TokenEvent]]


class Scheduler:
    """Owns the slots of the cache; one caller at a time."""

    def __init__(self, model: Model, slots: int) -> None:
        self._model = model
        self._cache = KeyValueCache(model.config, slots)
        self._free = list(range(slots - 1, -1, -1))
        self._waiting: deque[Sequence] = deque()
        self._running: list[Sequence] = []

    @property
    def running(self) -> int:
        """How many sequences hold a slot."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """How many sequences wait for a slot."""
        return len(self._waiting)

    def add(self, sequence: Sequence) -> None:
        """Queue a sequence; it runs as soon as a slot is free."""
        self._waiting.append(sequence)

    def remove(self, sequence: Sequence) -> None:
        """Forget a sequence at once, its slot free; nothing happens where it has ended."""
        if sequence in self._running:
            self._retire(sequence)
        elif sequence in self._waiting:
            self._waiting.remove(sequence)

    def step(self) -> StepEvents:
        """Advance every running sequence; return the tokens chosen, one a sequence at most."""
        self._admit()
        decoding = [sequence for sequence in self._running if sequence.generated]
        events = self._prefill()
        events += self._decode(decoding)
        for sequence, event in events:
            if event.finish is not None:
                self._retire(sequence)
        return events

    def _admit(self) -> None:
        while self._waiting and self._free:
            sequence = self._waiting.popleft()
            sequence.slot = self._free.pop()
            self._running.append(sequence)

    def _retire(self, sequence: Sequence) -> None:
        self._running.remove(sequence)
        self._free.append(sequence.slot)

    def _prefill(self) -> StepEvents:
        """Compute prompt chunks until the budget of the step is spent."""
        events: StepEvents = []
        budget = CHUNK_TOKENS
        for sequence in self._running:
            while sequence.prefilled < len(sequence.job.prompt) and budget > 0:
                budget -= self._prefill_chunk(sequence, events)
        return events

    def _prefill_chunk(self, sequence: Sequence, events: StepEvents) -> int:
        """Compute the next chunk of a prompt; return its tokens."""
        prompt, start = sequence.job.prompt, sequence.prefilled
        chunk = prompt[start : start + CHUNK_TOKENS]
        hidden = self._model.prefill(chunk, start, sequence.slot, self._cache)
        sequence.prefilled = end = start + len(chunk)
        if sequence.job.prompt_logprobs:
            following = prompt[start + 1 : end + 1]
            logits = self._model.compute_logits(hidden[: len(following)])
            sequence.take_prompt_logits(logits, following)
        if end == len(prompt):
            logits = self._model.compute_logits(hidden[-1:])
            events.append((sequence, sequence.take_logits(logits[0])))
        return len(chunk)

    def _decode(self, sequences: list[Sequence]) -> StepEvents:
        if not sequences:
            return []
        logits = self._model.decode(
            [sequence.last_token for sequence in sequences],
            [sequence.position for sequence in sequences],
            [sequence.slot for sequence in sequences],
            self._cache,
        )
        return [
            (sequence, sequence.take_logits(row))
            for sequence, row in zip(sequences, logits, strict=True)
        ]
