"""The shapes of gpt-oss' mixture of experts, and what they cost at the least."""

from __future__ import annotations

from dataclasses import dataclass

GROUP = 32
"""Weights along K that share one scale."""

BUCKETS = (
    *(1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256),
    *(384, 512, 768, 1024, 2048, 4096, 8192),
)
"""Numbers of tokens that get a plan of their own; a number between two takes the larger one's."""


@dataclass(frozen=True, slots=True)
class MoESpec:
    """One model's block; sizes are numbers of features, not of bytes."""

    name: str
    experts: int
    hidden: int
    intermediate: int
    layers: int
    top_k: int = 4
    alpha: float = 1.702
    limit: float = 7.0

    @property
    def weights_per_expert(self) -> int:
        """Weights of both matrices: [2I, H] and [H, I].

        >>> GPT_OSS_20B.weights_per_expert
        24883200
        """
        return 3 * self.hidden * self.intermediate

    @property
    def bytes_per_expert(self) -> int:
        """Codes of 4 bits, a byte of scale per 32 weights, fp32 biases.

        >>> GPT_OSS_20B.bytes_per_expert - 34_560
        13219200
        """
        weights = self.weights_per_expert
        return weights // 2 + weights // GROUP + 4 * (2 * self.intermediate + self.hidden)

    def distinct(self, tokens: int) -> float:
        """Experts that `tokens` tokens reach on average, if each expert is as likely as another."""
        return self.experts * (1 - (1 - self.top_k / self.experts) ** tokens)

    def least_bytes(self, tokens: int, experts: float | None = None) -> float:
        """Bytes that must cross the memory bus: experts, router, x, y, and h out and in (16 bit).

        `experts` is the number that was really drawn; without it, the average.
        """
        reached = self.distinct(tokens) if experts is None else experts
        router = 2 * self.experts * self.hidden
        per_token = 2 * (2 * self.hidden) + 2 * (2 * self.top_k * self.intermediate)
        return reached * self.bytes_per_expert + router + tokens * per_token

    def flops(self, tokens: int) -> float:
        """Useful floating-point operations of the router and the two matrix products."""
        return 2.0 * tokens * (self.top_k * self.weights_per_expert + self.experts * self.hidden)

    def floor(
        self, tokens: int, *, bandwidth: float, flops: float, experts: float | None = None
    ) -> float:
        """Seconds that no kernel can beat, given bytes and operations per second of the device."""
        memory = self.least_bytes(tokens, experts) / bandwidth
        return max(memory, self.flops(tokens) / flops)


GPT_OSS_20B = MoESpec("gpt-oss-20b", experts=32, hidden=2880, intermediate=2880, layers=24)
GPT_OSS_120B = MoESpec("gpt-oss-120b", experts=128, hidden=2880, intermediate=2880, layers=36)
TINY = MoESpec("tiny", experts=8, hidden=192, intermediate=128, layers=2)
"""Small enough for an interpreter on a CPU."""

SPECS = {spec.name: spec for spec in (GPT_OSS_20B, GPT_OSS_120B, TINY)}


def bucket(tokens: int) -> int:
    """Return the bucket whose plan `tokens` tokens take; the largest has no upper end.

    >>> bucket(5), bucket(8), bucket(20_000)
    (8, 8, 8192)
    """
    return next((size for size in BUCKETS if tokens <= size), BUCKETS[-1])
