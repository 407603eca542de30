"""Rotary position embeddings (Su et al., arXiv 2104.09864), in Hugging Face's half-split order."""

import numpy as np
from numpy.typing import NDArray

from supplier.engines.embedded.config import ModelConfig, RopeScaling
from supplier.engines.embedded.safetensors import Floats

__all__ = ["compute_rotations", "rotate"]


def compute_rotations(config: ModelConfig) -> tuple[Floats, Floats]:
    """Return (cosines, sines), each [context, head_width], of every position's angles."""
    half = np.arange(0, config.head_width, 2) / config.head_width
    frequencies = 1.0 / config.rope_theta**half
    if config.rope_scaling is not None:
        frequencies = _stretch(frequencies, config.rope_scaling)
    angles = np.outer(np.arange(config.context), frequencies)
    angles = np.concatenate([angles, angles], axis=1)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def rotate(vectors: Floats, cosines: Floats, sines: Floats) -> Floats:
    """Return `vectors` [..., tokens, head_width] turned by angles [tokens, head_width]."""
    half = vectors.shape[-1] // 2
    turned: Floats = np.concatenate([-vectors[..., half:], vectors[..., :half]], axis=-1)
    rotated: Floats = vectors * cosines + turned * sines
    return rotated


def _stretch(frequencies: NDArray[np.float64], scaling: RopeScaling) -> NDArray[np.float64]:
    """Return frequencies with slow ones divided by the factor, middle ones blended (Llama 3.1)."""
    turns = scaling.original_context * frequencies / (2 * np.pi)
    span = scaling.high_frequency_factor - scaling.low_frequency_factor
    keep = np.clip((turns - scaling.low_frequency_factor) / span, 0.0, 1.0)
    return frequencies * (keep + (1 - keep) / scaling.factor)
