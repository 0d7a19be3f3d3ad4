"""Tuned launch flags for the kernel that vLLM uses by itself: `triton_kernels.matmul_ogs`.

vLLM's own tuning files do not reach this kernel, and its public constraints know neither registers
nor the number of tokens. So the function that chooses the flags is wrapped: it still chooses, then
a table may change the rows per tile, the pipeline's stages and the registers per thread. Results
stay what they are up to the order of additions within a tile of K, which no flag changes.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from serving.moe.spec import MoESpec
from serving.moe.tables import Entry, entry_for

BLOCKS = (16, 32, 64, 128)
"""Rows per tile for which the routing step prepares tile lists."""
HANDSHAKE = {"block_n": 256, "block_k": 128, "num_warps": 8}
"""Fixed by the order in which vLLM lays out the scales; another order gets stock flags."""
SETTABLE = {"block_m", "num_stages", "group_m", "maxnreg"}

Flags = Any  # triton_kernels' own dataclass
Choose = Callable[..., Flags]


def wrap(stock: Choose, spec: MoESpec, entries: tuple[Entry, ...]) -> Choose:
    """Return a `make_opt_flags` that changes what `stock` chose where the table says so."""
    parameters = inspect.signature(stock)

    @functools.wraps(stock)
    def make_opt_flags(*args: Any, **named: Any) -> Flags:
        flags = stock(*args, **named)
        asked = parameters.bind(*args, **named).arguments
        matrix = which_matrix(spec, asked["n"], asked["k"], asked["routing_data"])
        if matrix is None or not is_stock_hopper(flags):
            return flags
        entry = entry_for(entries, asked["m"] // spec.top_k)  # m counts slots, not tokens
        return change(flags, entry.params[matrix]) if entry else flags

    return make_opt_flags


def which_matrix(spec: MoESpec, n: int, k: int, routing_data: Any) -> str | None:
    """Return `w13` or `w2`, or None for a product that is not one of this model's."""
    if routing_data is None or routing_data.n_expts_tot != spec.experts:
        return None
    if routing_data.n_expts_act != spec.top_k:
        return None
    shapes = {
        (2 * spec.intermediate, spec.hidden): "w13",
        (spec.hidden, spec.intermediate): "w2",
    }
    return shapes.get((n, k))


def is_stock_hopper(flags: Flags) -> bool:
    """Tell whether stock chose what it chooses for four-bit weights on Hopper."""
    plain = not (flags.is_persistent or flags.fused_scatter) and flags.split_k == 1
    fits = all(getattr(flags, name) == value for name, value in HANDSHAKE.items())
    return bool(plain and fits and not flags.target_kernel_kwargs)


def change(flags: Flags, params: Mapping[str, int]) -> Flags:
    """Return flags with a table's numbers; a number we do not know is an error."""
    if wrong := _why_not_set(params):
        raise ValueError(wrong)
    params = dict(params)
    kernel = {"maxnreg": params.pop("maxnreg")} if "maxnreg" in params else {}
    return dataclasses.replace(flags, **params, target_kernel_kwargs=kernel)


def why_wrong(entries: tuple[Entry, ...]) -> str | None:
    """Say which entry cannot be used: to be asked before serving, where it would be an error."""
    for entry in entries:
        for matrix in ("w13", "w2"):
            if wrong := _why_not_set(entry.params.get(matrix)):
                return f"{matrix} for {entry.m_max} tokens has {wrong}"
    return None


def _why_not_set(params: Any) -> str | None:
    if not isinstance(params, Mapping):
        return "no flags"
    if params.keys() - SETTABLE or params.get("block_m", 16) not in BLOCKS:
        return f"flags that cannot be set: {dict(params)}"
    return None


def starting_point(spec: MoESpec, tokens: int) -> dict[str, dict[str, int]]:
    """Return flags to begin tuning from, derived from compiled machine code, not from a timing.

    128 registers let two programs share an SM where stock's 129 to 175 leave room for one. Tiles of
    twice the mean number of slots spare most experts a second tile, which would expand the same
    weights again; above 64 rows the accumulator no longer fits.
    """
    mean = tokens * spec.top_k / spec.experts
    if mean > 64:
        flags = {"block_m": 128, "num_stages": 3}
    else:
        block = next((size for size in BLOCKS[:3] if 2 * mean <= size), 64)
        flags = {"block_m": block, "num_stages": {16: 5, 32: 4, 64: 3}[block], "maxnreg": 128}
    return {"w13": flags, "w2": dict(flags)}
