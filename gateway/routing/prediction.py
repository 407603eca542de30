"""How long a supplier takes for a whole answer, learned from observations.

The model is linear: seconds = queue x requests in flight there + prefill x KiB of the request +
decode x hundreds of tokens of the answer. It is fitted by least squares with exponentially fading
weights, supplier by supplier. A stream teaches two things at once: its first byte what comes before
an answer, its rest what an answer takes.

A stranger is taken to be as good as the best of its peers, so that it is tried; so is, for one
request, whoever was not asked for long, so that one bad hour does not last for ever.
"""

from dataclasses import dataclass, field

from gateway.routing.observation import Event, Observation, Result
from relay_mining import Address

Weights = tuple[float, float, float]
"""Seconds for each request in flight, for each KiB of a request, for each 100 tokens."""

STRANGER: Weights = (0.02, 0.05, 2.0)
"""Before anything was seen: some 5,000 tokens of prompt and 50 of an answer in a second."""
KEEP = 0.98
"""Of a row's weight at the next one: some 50 of the last count."""
PULL = 0.05
"""How many rows of ones the prior counts for."""
SOLVE_EVERY = 8
"""Answers of a supplier between two fits of its weights."""
FORGET = 100
"""Answers of others after which a supplier that nobody asks gets a new chance."""
KIB, TOKENS = 1024.0, 100.0
TOKENS_EXPECTED = 256.0
"""Of an answer, before any was seen."""


@dataclass(slots=True)
class Fit:
    """The sums of a least-squares fit with three features."""

    keep: float = KEEP
    rows: int = 0
    seen: int = 0
    """The model's answers when it was last added to."""
    weights: Weights = STRANGER
    sums: tuple[float, ...] = (0.0,) * 9
    """The products of the features (aa ab ac bb bc cc) and with the seconds (as bs cs)."""

    def add(self, a: float, b: float, c: float, seconds: float, first: float | None = None) -> None:
        """Take in one measurement; with the seconds to its `first` byte, as two rows."""
        keep = self.keep
        aa, ab, ac, bb, bc, cc, sa, sb, sc = self.sums
        if first is None:
            ac, bc, before, rest = ac * keep + a * c, bc * keep + b * c, seconds, seconds
        else:
            ac, bc, before, rest = ac * keep, bc * keep, first, seconds - first
        self.sums = (
            aa * keep + a * a, ab * keep + a * b, ac,
            bb * keep + b * b, bc, cc * keep + c * c,
            sa * keep + a * before, sb * keep + b * before, sc * keep + c * rest,
        )  # fmt: skip
        self.rows += 1

    def solve(self, prior: Weights) -> None:
        """Fit the weights, none below nothing, towards a prior where the rows say little."""
        aa, ab, ac, bb, bc, cc, sa, sb, sc = self.sums
        aa, bb, cc = aa + PULL, bb + PULL, cc + PULL
        sa, sb, sc = (s + PULL * w for s, w in zip((sa, sb, sc), prior, strict=True))
        # Cramer's rule: the matrix is symmetric and, by the pull, positive definite
        one, two, three = bb * cc - bc * bc, ac * bc - ab * cc, ab * bc - ac * bb
        det = aa * one + ab * two + ac * three
        self.weights = (
            max(0.0, (sa * one + sb * two + sc * three) / det),
            max(0.0, (sa * two + sb * (aa * cc - ac * ac) + sc * (ab * ac - aa * bc)) / det),
            max(0.0, (sa * three + sb * (ab * ac - aa * bc) + sc * (aa * bb - ab * ab)) / det),
        )

    @property
    def is_due(self) -> bool:
        """Whether the weights are to be fitted again: after each of the first rows, and then."""
        return self.rows < SOLVE_EVERY or self.rows % SOLVE_EVERY == 0


@dataclass(slots=True)
class ModelTimes:
    """What the suppliers of one model show."""

    fits: dict[Address, Fit] = field(default_factory=dict)
    best: Weights = STRANGER
    """The least of each weight that any supplier shows."""
    tokens: float = TOKENS_EXPECTED
    """Of an answer, as a fading mean."""
    answers: int = 0

    def learn(self, event: Observation) -> None:
        """Take in a whole answer."""
        fit = self.fits.get(event.supplier)
        if fit is None or self.answers - fit.seen > FORGET:
            fit = self.fits[event.supplier] = Fit(weights=self.best)
        self.answers += 1
        fit.seen = self.answers
        self.tokens += (event.output_tokens - self.tokens) * max(1 - KEEP, 1 / self.answers)
        fit.add(
            event.in_flight, event.body_bytes / KIB, event.output_tokens / TOKENS,
            event.latency_s, event.first_byte_s,
        )  # fmt: skip
        if fit.is_due:
            fit.solve(fit.weights)
            queue, prefill, decode = zip(*(f.weights for f in self.fits.values()), strict=True)
            self.best = min(queue), min(prefill), min(decode)

    def weights_of(self, supplier: Address, in_flight: int) -> Weights:
        """A supplier's weights for a request that is one of those in flight."""
        fit = self.fits.get(supplier)
        if fit is None or (in_flight <= 1 and self.answers - fit.seen > FORGET):
            return self.best
        return fit.weights


@dataclass(slots=True)
class Predictor:
    """Learns from every answer; predicting is a handful of multiplications."""

    _models: dict[str, ModelTimes] = field(default_factory=dict)

    def observe(self, event: Event) -> None:
        """Learn from a whole answer; nothing from one that was cut off or failed."""
        if not isinstance(event, Observation) or event.result is not Result.OK:
            return
        times = self._models.get(event.model)
        if times is None:
            times = self._models[event.model] = ModelTimes()
        times.learn(event)

    def of(self, model: str) -> ModelTimes:
        """What is known of a model; of one not seen yet, what of any."""
        return self._models.get(model, UNSEEN)


UNSEEN = ModelTimes()


def predict(
    times: ModelTimes, supplier: Address, in_flight: int, body_bytes: int, tokens_max: int
) -> float:
    """Seconds until a supplier has answered, this request among those in flight."""
    queue, prefill, decode = times.weights_of(supplier, in_flight)
    tokens = min(tokens_max, times.tokens)
    return queue * in_flight + prefill * body_bytes / KIB + decode * tokens / TOKENS
