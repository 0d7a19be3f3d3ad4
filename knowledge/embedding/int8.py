"""The layers of a BERT in 8-bit integers, for processors that have VNNI and no matrix unit.

Weights are rounded per output channel, activations within ranges measured beforehand
(`scripts/calibrate_embedding.py`): so the vector of a text does not depend on its batch. The few
channels that reach much further than all others are shrunk before, and their weights grown as much
(SmoothQuant, Xiao et al. 2022): else all others had few steps left. Behind GELU nothing can be
shrunk; there the two that reach furthest are computed apart (as in LLM.int8, Dettmers et al. 2022).
Attention, sums and norms stay in floating point. The operators are oneDNN's, which come with torch.
"""

from __future__ import annotations

import copy
import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from knowledge.embedding.minilm import MiniLm

RANGES = Path(__file__).with_name("minilm_ranges.json")
"""Of the bundled model: for each layer the ranges of what its four products take in."""

_ALIKE = 0.99
_GAIN = 1.2
_PROBES = (
    "Meals on business trips are paid up to 40 euros a day. " * 20,
    "In vitro, the mutated receptor bound its ligand with a tenth of the affinity. " * 14,
    "Net sales rose 3.2 % to $31,657 million; see Note 4, page 17. " * 15,
    "Wie viele Urlaubstage haben neue Angestellte im ersten Jahr? " * 14,
)

log = logging.getLogger(__name__)


class Range(NamedTuple):
    """What a product takes in."""

    low: float
    high: float
    shrink: dict[str, float]
    """By what single channels are divided to fit in between."""
    apart: list[int]
    """Channels that may reach further, and are left out of the product."""


def quantised(model: MiniLm, ranges: Path = RANGES) -> MiniLm:
    """Return a copy of `model`, made for `ranges`, with rounded layers.

    It is tried out first: where it makes other vectors or saves no time, it is `model` that is
    returned, and the log says why.
    """
    fast = copy.deepcopy(model)
    measured = json.loads(ranges.read_text(encoding="utf-8"))
    fast.encoder.layer = nn.ModuleList(
        Int8Layer(layer, each) for layer, each in zip(fast.encoder.layer, measured, strict=True)
    )
    likeness, gain = _compare(model, fast)
    if likeness >= _ALIKE and gain >= _GAIN:
        return fast
    log.warning(
        "8-bit integers are not used: least cosine %.4f, %.2f times as fast", likeness, gain
    )
    return model


def _compare(slow: MiniLm, fast: MiniLm) -> tuple[float, float]:
    """Return the least cosine between the two models' vectors, and how much faster `fast` is."""
    vectors, seconds = [], []
    for model in (slow, fast):
        _encode(model)  # what is made on first use is not counted
        began = time.thread_time()
        vectors.append(_encode(model))
        seconds.append(time.thread_time() - began)
    likeness = nn.functional.cosine_similarity(vectors[0], vectors[1]).min().item()
    return likeness, seconds[0] / seconds[1]


def _encode(model: MiniLm) -> Tensor:
    with torch.inference_mode():
        made: Tensor = model(model.preprocess(list(_PROBES)))["sentence_embedding"]
        return made.float()


class Int8Layer(nn.Module):
    """Takes the place of a layer of `MiniLm`; computes the same, but rounded."""

    def __init__(self, layer: nn.Module, ranges: Sequence[Sequence[Any]]) -> None:
        super().__init__()
        parts: Any = layer
        attention, own = parts.attention, parts.attention.self
        self._heads: int = parts.heads
        self._attend_in = torch.bfloat16 if _has_bfloat16() else torch.float32
        self._after_attention: nn.Module = attention.output.LayerNorm
        self._after_feed: nn.Module = parts.output.LayerNorm
        taken, mixed, fed, raised = (Range(*each) for each in ranges)
        projections = [own.query, own.key, own.value]
        self._project = _Int8Linear(projections, taken, returns=self._attend_in)
        self._mix = _Int8Linear([attention.output.dense], mixed)
        self._raise = _Int8Linear([parts.intermediate.dense], fed, gelu_to=raised)
        self._lower = _Int8Linear([parts.output.dense], raised)
        self._apart = _Apart(parts.intermediate.dense, parts.output.dense, raised.apart)

    def forward(self, hidden: Tensor, attention_mask: Tensor | None) -> Tensor:
        """Return the hidden states of the next layer; shape (batch, tokens, width)."""
        flat = hidden.flatten(0, 1)
        projected = self._project(self._project.rounded(flat))
        attended = self._attend(projected.view(*hidden.shape[:2], -1), attention_mask)
        mixed = self._after_attention(self._mix(self._mix.rounded(attended), plus=flat))
        raised = self._raise(self._raise.rounded(mixed))
        fed: Tensor = self._after_feed(self._lower(raised, plus=self._apart(mixed)))
        return fed.view_as(hidden)

    def _attend(self, projected: Tensor, mask: Tensor | None) -> Tensor:
        batch, tokens, _ = projected.shape
        split = projected.view(batch, tokens, 3, self._heads, -1).permute(2, 0, 3, 1, 4)
        query, key, value = split.unbind()
        found = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return found.transpose(1, 2).reshape(batch * tokens, -1).float()


class _Int8Linear:
    """Linear layers that share their input, side by side, in 8-bit integers."""

    def __init__(
        self,
        linears: Sequence[nn.Linear],
        takes: Range,
        *,
        gelu_to: Range | None = None,
        returns: torch.dtype = torch.float32,
    ) -> None:
        weight = torch.cat([each.weight.detach() for each in linears]).float()
        self._bias = torch.cat([each.bias.detach() for each in linears]).float()
        shrink = torch.ones(weight.shape[1])
        for channel, by in takes.shrink.items():
            shrink[int(channel)] = by
        weight *= shrink
        weight[:, takes.apart] = 0
        self._scale = weight.abs().amax(1).clamp(min=1e-9) / 127
        whole = (weight / self._scale[:, None]).round().to(torch.int8)
        self._weight = torch.ops.onednn.qlinear_prepack(whole, None)
        self._zeros = torch.zeros(len(whole), dtype=torch.int64)
        self._takes = _grid(takes)
        self._per_value = 1 / (self._takes[0] * shrink)
        # With GELU the result is rounded at once, for the next product.
        self._returns = (1.0, 0, returns) if gelu_to is None else (*_grid(gelu_to), torch.uint8)
        self._then = "none" if gelu_to is None else "gelu"

    def rounded(self, values: Tensor) -> Tensor:
        """Put the values on this layer's grid of 0 … 255; those beyond its range are cut."""
        return values.mul(self._per_value).add_(self._takes[1] + 0.5).clamp_(0, 255).to(torch.uint8)

    def __call__(self, values: Tensor, *, plus: Tensor | None = None) -> Tensor:
        product = (values, *self._takes, self._weight, self._scale, self._zeros)
        made: Tensor
        if plus is None:
            made = torch.ops.onednn.qlinear_pointwise(
                *product, self._bias, *self._returns, self._then, [], "none"
            )
        else:
            made = torch.ops.onednn.qlinear_pointwise.binary(
                *product, plus, self._bias, *self._returns, 1.0, 0, "add", 1.0, "none", [], ""
            )
        return made


class _Apart:
    """Adds what a few neurons between two layers contribute, in floating point."""

    def __init__(self, raising: nn.Linear, lowering: nn.Linear, neurons: list[int]) -> None:
        self._into = raising.weight.detach()[neurons].float()
        self._bias = raising.bias.detach()[neurons].float()
        self._out_of = lowering.weight.detach()[:, neurons].T.float()

    def __call__(self, values: Tensor) -> Tensor:
        raised = nn.functional.gelu(nn.functional.linear(values, self._into, self._bias))
        return torch.addmm(values, raised, self._out_of)


def _grid(values: Range) -> tuple[float, int]:
    """Return step and zero point of 256 steps over a range that is widened to hold 0."""
    low, high = min(values.low, 0.0), max(values.high, 0.0)
    step = (high - low) / 255 or 1.0
    return step, round(-low / step)


def _has_bfloat16() -> bool:
    return bool(torch.cpu._is_avx512_bf16_supported())
