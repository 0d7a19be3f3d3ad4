"""Which kernel computes how many tokens: a choice by shape alone, made on the host.

Nothing here waits for the device, so a CUDA graph can be captured through it. What no table covers
is computed by the caller's own way, or by the portable kernels where there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from serving.moe.layout import PackedWeights
from serving.moe.spec import MoESpec
from serving.moe.tables import Entry, entry_for

Logits = Tensor | None
"""The router's output [M, E], if somebody else has computed it already."""
Run = Callable[[Tensor, PackedWeights, MoESpec, Mapping[str, Any], torch.dtype, Logits], Tensor]


def _kernel(name: str) -> Run:
    """Return how to run a kernel; its module is imported at the first call, for it needs Triton."""

    def run(
        x: Tensor,
        weights: PackedWeights,
        spec: MoESpec,
        params: Mapping[str, Any],
        out: torch.dtype,
        logits: Logits,
    ) -> Tensor:
        kernel = import_module(f"serving.moe.kernels.{name}")
        y: Tensor = kernel.moe(
            x, weights, spec, kernel.Plan(**params), out_dtype=out, logits=logits
        )
        return y

    return run


KERNELS = {name: _kernel(name) for name in ("portable", "decode_sm90", "wgmma_sm90")}


def why_unfit(plan: Entry, spec: MoESpec) -> str | None:
    """Say why a plan cannot be run: to be asked before serving, where it would be an error."""
    if plan.kernel not in KERNELS:
        return f"no kernel is called {plan.kernel}"
    try:
        cut = import_module(f"serving.moe.kernels.{plan.kernel}").Plan(**plan.params)
        if hasattr(cut, "check"):
            cut.check(spec)
    except (ImportError, TypeError, ValueError, ZeroDivisionError) as error:
        return f"{plan.kernel} for {plan.m_max} tokens: {error}"
    return None


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """Computes the block with the plan of a number of tokens."""

    spec: MoESpec
    plans: tuple[Entry, ...]
    kernels: Mapping[str, Run] = field(default_factory=lambda: KERNELS)
    fallback: str = "portable"

    def choose(self, tokens: int) -> Entry:
        """Return the plan for a number of tokens; one that we cannot run counts as none."""
        entry = entry_for(self.plans, tokens)
        if entry is None or entry.kernel not in self.kernels:
            return Entry(0, {}, self.fallback)
        return entry

    def __call__(
        self,
        x: Tensor,
        weights: PackedWeights,
        out_dtype: torch.dtype = torch.bfloat16,
        logits: Logits = None,
    ) -> Tensor:
        """Return the block's output for tokens [M, H]."""
        entry = self.choose(len(x))
        return self.kernels[entry.kernel](x, weights, self.spec, entry.params, out_dtype, logits)
