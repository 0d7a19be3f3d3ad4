"""What the two models weigh, and how vLLM is to share the memory of a class of GPUs among requests.

The numbers are reckoned from shapes and from what others report, not measured by us:
`tests/serving/engine/test_profiles.py` says what has to fit.
"""

from __future__ import annotations

from dataclasses import dataclass


class EngineError(Exception):
    """vLLM cannot be started like this; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Model:
    """One of OpenAI's open-weight models, by the shapes that tell it from others."""

    name: str
    layers: int
    experts: int
    weights: int  # bytes on the GPU
    token: int  # bytes of cache per token, in layers that look at everything


@dataclass(frozen=True, slots=True)
class Profile:
    """How a GPU of at least `memory` bytes serves a model."""

    name: str
    memory: int
    context: int  # longest prompt and answer together, in tokens
    sequences: int  # answered at the same time; more wait
    batched: int  # tokens of prompts that are read in one step
    share: float  # of the GPU's memory that vLLM takes
    graphs: int | None = None  # largest batch with a CUDA graph; None: vLLM's choice


MODELS = {
    model.name: model
    for model in (
        Model("gpt-oss-20b", 24, 32, weights=13_760_000_000, token=24_600),
        Model("gpt-oss-120b", 36, 128, weights=65_250_000_000, token=36_900),
    )
}

PROFILES = {
    "gpt-oss-20b": (
        Profile("16gb", 16_000_000_000, 16_384, 16, 2048, 0.95, graphs=32),
        Profile("80gb", 80_000_000_000, 32_768, 128, 8192, 0.92),
        Profile("h200", 141_000_000_000, 32_768, 256, 8192, 0.92),
    ),
    "gpt-oss-120b": (
        # More tokens in one step do not fit beside the weights on an H100.
        Profile("80gb", 80_000_000_000, 32_768, 64, 1024, 0.95, graphs=256),
        Profile("h200", 141_000_000_000, 32_768, 256, 8192, 0.92),
    ),
}
"""By model, smallest first: the first is taken unless another is asked for."""


def choose(model: str, name: str = "") -> Profile:
    """Return a model's profile by its name; without one, the smallest that holds the model.

    >>> choose("gpt-oss-120b").name, choose("gpt-oss-20b", "h200").sequences
    ('80gb', 256)
    """
    if model not in PROFILES:
        raise EngineError(f"{model} is not a model that is served here: {' or '.join(PROFILES)}")
    known = {profile.name: profile for profile in PROFILES[model]}
    if name and name not in known:
        raise EngineError(f"{model} has no profile {name!r}, only {' and '.join(known)}")
    return known[name] if name else PROFILES[model][0]
