"""Continuous batching: every step advances running sequences, new ones join between steps.

A step computes at most about CHUNK_TOKENS of prompts and one token of each sequence it advances,
so a long prompt never stalls the others for long.

Lower priorities go first, then whoever came first; a slot each. Where no slot is free one that has
it is put aside for a more urgent one, its keys and values in memory of its own, and goes on later
where it stopped: its answer is the same to the last bit, since each is a function of its own
sequence alone. While urgent ones run the others rest, but for every OTHERS_EVERY-th step: nobody's
stream falls silent for long, and urgent ones keep nearly the whole engine.
"""

from supplier.engines.embedded.cache import KeyValueCache
from supplier.engines.embedded.model import CHUNK_TOKENS, Model
from supplier.engines.embedded.sequence import Sequence, TokenEvent

__all__ = ["OTHERS_EVERY", "Scheduler", "StepEvents"]

OTHERS_EVERY = 8

StepEvents = list[tuple[Sequence, TokenEvent]]


class Scheduler:
    """Owns the slots of the cache; one caller at a time."""

    def __init__(self, model: Model, slots: int) -> None:
        self._model = model
        self._cache = KeyValueCache(model.config, slots)
        self._free = list(range(slots - 1, -1, -1))
        self._waiting: list[Sequence] = []
        self._running: list[Sequence] = []
        self._steps = 0
        self.preempted = 0
        """How often a sequence was put aside."""

    @property
    def running(self) -> int:
        """How many sequences hold a slot."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """How many sequences wait for a slot."""
        return len(self._waiting)

    def add(self, sequence: Sequence) -> None:
        """Queue a sequence; it runs as soon as a slot is free, or a less urgent one has it."""
        self._waiting.append(sequence)

    def remove(self, sequence: Sequence) -> None:
        """Forget a sequence at once, its slot free; nothing happens where it has ended."""
        if sequence in self._running:
            self._retire(sequence)
        elif sequence in self._waiting:
            self._waiting.remove(sequence)

    def step(self) -> StepEvents:
        """Advance the running sequences whose turn it is; at most a token each is chosen."""
        self._admit()
        turn = self._choose()
        decoding = [sequence for sequence in turn if sequence.generated]
        events = self._prefill(turn)
        events += self._decode(decoding)
        for sequence, event in events:
            if event.finish is not None:
                self._retire(sequence)
        return events

    def _admit(self) -> None:
        """Give slots to those who wait, the most urgent first, in the order they came."""
        for sequence in sorted(self._waiting, key=_priority):
            if not self._free and not self._put_aside_for(sequence):
                return
            self._waiting.remove(sequence)
            self._seat(sequence)

    def _seat(self, sequence: Sequence) -> None:
        sequence.slot = self._free.pop()
        if sequence.stored is not None:
            self._cache.put_back(sequence.slot, sequence.stored)
            sequence.stored = None
        self._running.append(sequence)

    def _put_aside_for(self, urgent: Sequence) -> bool:
        """Take the slot of a less urgent sequence, the last that got one; False without any."""
        least = max(reversed(self._running), key=_priority)
        if least.job.priority <= urgent.job.priority:
            return False
        least.stored = self._cache.take_out(least.slot, least.cached)
        self._retire(least)
        self._waiting.insert(0, least)  # before others of its priority: it came before them
        self.preempted += 1
        return True

    def _choose(self) -> list[Sequence]:
        """The sequences of this step: the most urgent, now and then all."""
        self._steps += 1
        if self._steps % OTHERS_EVERY == 0:
            return sorted(self._running, key=_priority)
        urgent = min((sequence.job.priority for sequence in self._running), default=0)
        return [sequence for sequence in self._running if sequence.job.priority == urgent]

    def _retire(self, sequence: Sequence) -> None:
        self._running.remove(sequence)
        self._free.append(sequence.slot)

    def _prefill(self, turn: list[Sequence]) -> StepEvents:
        """Compute prompt chunks until the budget of the step is spent."""
        events: StepEvents = []
        budget = CHUNK_TOKENS
        for sequence in turn:
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


def _priority(sequence: Sequence) -> int:
    return sequence.job.priority
