"""The paper's traffic, read back from its figures, and how much a pixel of them hides."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

DATA = Path(__file__).parents[1] / "data" / "relay_mining_paper.json"
TARGET = 10_000
"""Payable relays a block that the paper aims at."""
CASES = 4
CALM_BLOCKS = 48
"""The first blocks of the Ethereum series, before anything happens in it."""

Series = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Published:
    """A row of the paper's table, its swapped and mislabelled columns put right."""

    mean_deviation_pct: float
    """Of payable relays a block from the target, over the window."""
    peak_deviation_pct: float
    excess_claims: int
    blocks: int
    mean_volume_error_pct: float
    peak_volume_error_pct: float


@dataclass(frozen=True, slots=True)
class Case:
    """One experiment of the paper: relays of every block, and the blocks it reports."""

    name: str
    chain: str
    relays: Series
    first: int
    last: int
    """The window [first, last) as indices into `relays`."""
    pixel: float
    """Relays a pixel of the figure stands for."""
    published: Published

    def draw_traffic(self, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Return relays a block as they may have been.

        Each point, and the zero line of its axis, lies within a pixel of where it was read; a
        point that is seen lies half a pixel above the line.
        """
        points = rng.uniform(-self.pixel, self.pixel, len(self.relays))
        blurred = self.relays + points + rng.uniform(-self.pixel, self.pixel)
        readable = self.relays >= self.pixel
        return np.rint(np.where(readable, np.maximum(blurred, self.pixel / 2), self.relays)).astype(
            np.int64
        )


def load_cases() -> list[Case]:
    """Return the paper's cases whose traffic its figures show, and the steady one, modelled."""
    data = json.loads(DATA.read_text())
    cases = [_read_case(each) for each in data["cases"]]
    return [_model_steady(data["steady"], cases[0]), *cases]


def _read_case(entry: dict[str, Any]) -> Case:
    first, last = (height - entry["first_height"] for height in entry["window"])
    return Case(
        entry["case"],
        entry["chain"],
        _fill(entry["relays"], entry["deviation_pct"]),
        first,
        last,
        entry["relays_per_pixel"],
        Published(**entry["published"]),
    )


def _fill(relays: list[int | None], deviations: list[float | None]) -> Series:
    """Relays a block; below a pixel every relay is payable, so the deviation tells their number."""
    filled: list[float] = []
    for count, deviation in zip(relays, deviations, strict=True):
        if count:
            filled.append(float(count))
        elif deviation is not None:
            filled.append(TARGET * (1 + deviation / 100))
        else:
            filled.append(filled[-1])
    return np.array(filled)


def _model_steady(entry: dict[str, Any], calm: Case) -> Case:
    """The paper shows no figure of its steady traffic: stationary, as uneven as a calm chain's."""
    published = Published(**entry["published"])
    sample = calm.relays[:CALM_BLOCKS]
    spread = float(sample.std() / sample.mean())
    warm_up = 200
    rng = np.random.default_rng(0)
    sigma = np.sqrt(np.log1p(spread**2))
    relays = sample.mean() * rng.lognormal(-(sigma**2) / 2, sigma, warm_up + published.blocks)
    return Case("Steady", entry["chain"], relays, warm_up, len(relays), 0.0, published)
