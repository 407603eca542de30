"""One continuation of one prompt: what was asked, how far it is, and what each token gave."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal

from supplier.engines.embedded.cache import Stored
from supplier.engines.embedded.detokenizer import make_detokenizer
from supplier.engines.embedded.safetensors import Floats
from supplier.engines.embedded.sampler import (
    SamplingParams,
    TokenLogprobs,
    adjust_logits,
    choose_token,
    compute_logprobs,
    make_generator,
    pick_logprobs,
)
from supplier.engines.embedded.stops import StopMatcher
from supplier.engines.embedded.tokenizer import TextTokenizer

__all__ = ["Finish", "Job", "Sequence", "TokenEvent"]


@dataclass(frozen=True, slots=True)
class Job:
    """What one sequence is to do. Counts in tokens; `top_logprobs` None reports none.

    `choice` is its index in the answer; a seed and `draw` name its random numbers. Of two jobs the
    one with the lower `priority` goes first.
    """

    prompt: tuple[int, ...]
    max_tokens: int
    sampling: SamplingParams = field(default_factory=SamplingParams)
    choice: int = 0
    draw: int = 0
    stop_strings: tuple[str, ...] = ()
    stop_token_ids: frozenset[int] = frozenset()
    end_token_ids: frozenset[int] = frozenset()
    min_tokens: int = 0
    top_logprobs: int | None = None
    prompt_logprobs: bool = False
    skip_special_tokens: bool = True
    include_stop: bool = False
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Finish:
    """Why a sequence ended; `matched` is the stop string or stop token asked for, if one did."""

    reason: Literal["stop", "length", "abort"]
    matched: str | int | None = None


@dataclass(frozen=True, slots=True)
class TokenEvent:
    """One token of a sequence; `text` may be empty while characters or stops are undecided."""

    choice: int
    token: int | None
    text: str = ""
    logprobs: TokenLogprobs | None = None
    prompt_logprobs: tuple[TokenLogprobs, ...] = ()
    finish: Finish | None = None


class Sequence:
    """The running state of a job; owned by the scheduler."""

    def __init__(self, job: Job, tokenizer: TextTokenizer) -> None:
        self.job = job
        self.slot = -1
        self.stored: Stored | None = None
        """Its keys and values while it has no slot, once it has had one."""
        self.prefilled = 0
        self.last_token = -1
        self.generated = 0
        self.prompt_logprobs: list[TokenLogprobs] = []
        self._counts: Counter[int] = Counter()
        self._generator = make_generator(job.sampling.seed, job.draw)
        self._stops = StopMatcher(job.stop_strings, include=job.include_stop)
        self._text = make_detokenizer(tokenizer, skip_special_tokens=job.skip_special_tokens)

    @property
    def cached(self) -> int:
        """How many positions of the cache it fills."""
        return self.prefilled + max(0, self.generated - 1)

    @property
    def position(self) -> int:
        """Where the last generated token goes in the cache."""
        return len(self.job.prompt) + self.generated - 1

    def take_logits(self, logits: Floats) -> TokenEvent:
        """Choose the next token from logits [vocabulary] and return what it gives."""
        job = self.job
        adjusted = adjust_logits(logits, job.sampling, job.prompt, self._counts, self._forbidden())
        token = choose_token(adjusted, job.sampling, self._generator)
        logprobs = None
        if job.top_logprobs is not None:
            logprobs = pick_logprobs(compute_logprobs(logits), token, job.top_logprobs)
        self.last_token = token
        self.generated += 1
        self._counts[token] += 1
        text, finish = self._advance(token)
        prompt_logprobs = tuple(self.prompt_logprobs) if self.generated == 1 else ()
        return TokenEvent(job.choice, token, text, logprobs, prompt_logprobs, finish)

    def take_prompt_logits(self, logits: Floats, tokens: Collection[int]) -> None:
        """Note the log-probabilities of prompt tokens, logits [tokens, vocabulary]."""
        count = self.job.top_logprobs or 0
        for row, token in zip(logits, tokens, strict=True):
            self.prompt_logprobs.append(pick_logprobs(compute_logprobs(row), token, count))

    def _forbidden(self) -> Collection[int]:
        if self.generated >= self.job.min_tokens:
            return ()
        return self.job.end_token_ids | self.job.stop_token_ids

    def _advance(self, token: int) -> tuple[str, Finish | None]:
        """Return the text a token gives and whether the sequence ends with it."""
        finish = self._end_of(token)
        text = "" if finish and not self.job.include_stop else self._text.push(token)
        if finish is None and self.generated >= self.job.max_tokens:
            finish = Finish("length")
        if finish:
            text += self._text.finish()
        if self.generated < self.job.min_tokens:
            return text, finish
        match = self._stops.push(text)
        if match.stop is not None:
            return match.text, Finish("stop", match.stop)
        return match.text + (self._stops.finish() if finish else ""), finish

    def _end_of(self, token: int) -> Finish | None:
        if token in self.job.end_token_ids:
            return Finish("stop")
        if token in self.job.stop_token_ids:
            return Finish("stop", token)
        return None
