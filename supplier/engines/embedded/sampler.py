"""Chooses the next token from logits, as OpenAI's and vLLM's parameters say.

Order: penalties and bias, (log-probabilities reported are those before), temperature, top-k,
top-p (nucleus sampling, Holtzman et al., arXiv 1904.09751), min-p, one uniform draw.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from supplier.engines.embedded.safetensors import Floats

__all__ = [
    "SEED_MASK",
    "Doubles",
    "SamplingParams",
    "TokenLogprobs",
    "adjust_logits",
    "choose_token",
    "compute_logprobs",
    "make_generator",
    "pick_logprobs",
]

Doubles = NDArray[np.float64]

SEED_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How tokens are drawn; temperature 0 is greedy, top_k 0 keeps every token."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """Natural log-probability and rank (1 = likeliest) of a token, and the likeliest others."""

    logprob: float
    rank: int
    top: tuple[tuple[int, float], ...]


def make_generator(seed: int | None, draw: int) -> np.random.Generator:
    """Return the generator named by a seed and a number below it; fresh without a seed."""
    if seed is None:
        return np.random.default_rng()
    return np.random.default_rng([seed & SEED_MASK, draw])


def compute_logprobs(logits: Floats) -> Doubles:
    """Return log-softmax [vocabulary] of logits [vocabulary], in double precision."""
    shifted = logits.astype(np.float64)
    shifted -= np.maximum.reduce(shifted)
    shifted -= np.log(np.add.reduce(np.exp(shifted)))
    return shifted


def pick_logprobs(logprobs: Doubles, token: int, count: int) -> TokenLogprobs:
    """Return a token's log-probability with the `count` likeliest tokens; ties by lower id."""
    own = float(logprobs[token])
    count = min(count, logprobs.size)
    top: tuple[tuple[int, float], ...] = ()
    if count:
        floor = np.partition(logprobs, -count)[-count]
        candidates = np.flatnonzero(logprobs >= floor)
        order = candidates[np.argsort(-logprobs[candidates], kind="stable")][:count]
        top = tuple((int(index), float(logprobs[index])) for index in order)
    return TokenLogprobs(own, int(np.count_nonzero(logprobs > own)) + 1, top)


def adjust_logits(
    logits: Floats,
    params: SamplingParams,
    prompt: Collection[int],
    counts: Mapping[int, int],
    forbidden: Collection[int] = (),
) -> Floats:
    """Return logits after penalties and bias; `forbidden` tokens cannot be drawn.

    `counts` says how often each token was generated; the repetition penalty (Keskar et al.,
    arXiv 1909.05858) looks at the prompt too, the other two do not.
    """
    if not forbidden and not _changes(params):
        return logits
    logits = logits.copy()
    if params.repetition_penalty != 1.0:
        seen = np.array(sorted({*prompt, *counts}), dtype=np.intp)
        own = logits[seen]
        logits[seen] = np.where(
            own > 0, own / params.repetition_penalty, own * params.repetition_penalty
        )
    for token, times in counts.items():
        logits[token] -= params.frequency_penalty * times + params.presence_penalty
    for token, bias in params.logit_bias.items():
        logits[token] += bias
    logits[list(forbidden)] = -np.inf
    return logits


def choose_token(logits: Floats, params: SamplingParams, generator: np.random.Generator) -> int:
    """Return the next token id; greedy at temperature 0, else one inverse-CDF draw."""
    if params.temperature == 0.0:
        return int(logits.argmax())
    scaled = logits.astype(np.float64)
    scaled -= np.maximum.reduce(scaled)
    scaled /= params.temperature
    weights = np.exp(scaled)
    if params.top_k == 0 and params.top_p >= 1.0 and params.min_p == 0.0:
        return _draw(weights, generator)
    order = _rank(weights, params.top_k)
    kept = weights[order]
    kept = kept[: _count_nucleus(kept, params)]
    return int(order[_draw(kept, generator)])


def _changes(params: SamplingParams) -> bool:
    return bool(
        params.logit_bias
        or params.presence_penalty
        or params.frequency_penalty
        or params.repetition_penalty != 1.0
    )


def _rank(weights: Doubles, top_k: int) -> NDArray[np.intp]:
    """Return token ids, likeliest first, at most `top_k` of them (0: all)."""
    order = np.argsort(-weights, kind="stable")
    return order[:top_k] if top_k else order


def _count_nucleus(weights: Doubles, params: SamplingParams) -> int:
    """Return how many of the descending weights top-p and min-p keep; at least one."""
    running = np.cumsum(weights)
    kept = int(np.searchsorted(running, params.top_p * running[-1])) + 1
    strong = int(np.count_nonzero(weights >= params.min_p * weights[0]))
    return max(1, min(kept, strong, weights.size))


def _draw(weights: Doubles, generator: np.random.Generator) -> int:
    """Return an index drawn by weight; never one of weight zero."""
    running = np.cumsum(weights)
    point = generator.random() * running[-1]
    # the product may round up to the whole sum, which lies past the last index of weight
    return int(np.searchsorted(running, min(point, np.nextafter(running[-1], 0)), side="right"))
