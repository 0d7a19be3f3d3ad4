#!/usr/bin/env python3
"""Measure the ranges for `knowledge/embedding/int8.py`: CORPUS.jsonl[.gz] … > minilm_ranges.json.

Each corpus holds one object with `text`, and perhaps `title`, a line. Of each, the same number of
texts is drawn, always the same ones.
"""

from __future__ import annotations

import gzip
import json
import random
import sys
from pathlib import Path

import torch

from knowledge.embedding import weights
from knowledge.embedding.minilm import MiniLm

DRAWN = 32
STANDS_OUT = 2.0  # times the median of all channels: what reaches further is shrunk to that,
LEAST = 1.1  # unless it would hardly be
APART = 2  # channels that are computed apart, where nothing can be shrunk
WIDTH = 384


def main(corpora: list[str]) -> None:
    """Print, a layer a line, the ranges of its four products over the texts that are drawn."""
    folder, _ = weights.find(None)
    model = MiniLm.load(folder)
    layers = [_watched(layer) for layer in model.encoder.layer]
    with torch.inference_mode():
        for corpus in corpora:
            for text in _drawn(Path(corpus)):
                model(model.preprocess([text]))
    lines = (json.dumps([_range(**product) for product in layer]) for layer in layers)
    print("[\n " + ",\n ".join(lines) + "\n]")


def _watched(layer: torch.nn.Module) -> list[dict[str, torch.Tensor]]:
    """Return the least and most of each channel of each product's input; widened by each text."""
    attention = layer.attention
    products = [attention.self.query, attention.output.dense]
    products += [layer.intermediate.dense, layer.output.dense]
    return [_watch(product) for product in products]


def _watch(product: torch.nn.Linear) -> dict[str, torch.Tensor]:
    seen = {"low": torch.zeros(product.in_features), "high": torch.zeros(product.in_features)}

    def widen(_: object, taken: tuple[torch.Tensor]) -> None:
        values = taken[0].flatten(0, 1)
        seen["low"] = torch.minimum(seen["low"], values.amin(0))
        seen["high"] = torch.maximum(seen["high"], values.amax(0))

    product.register_forward_pre_hook(widen)
    return seen


def _range(low: torch.Tensor, high: torch.Tensor) -> list[object]:
    """Return a `Range` as JSON; it holds all but the few channels that stand out."""
    reach = torch.maximum(-low, high)
    shrink = (reach / (STANDS_OUT * reach.median())).clamp(min=1)
    apart: list[int] = []
    if len(low) > WIDTH:  # comes rounded out of the product before it, where nothing can be divided
        shrink = torch.ones_like(shrink)
        apart = reach.topk(APART).indices.tolist()
        reach[apart] = 0
    low, high = low.clamp(min=-reach), high.clamp(max=reach)
    shrink[shrink < LEAST] = 1
    few = {str(channel): round(by, 3) for channel, by in enumerate(shrink.tolist()) if by > 1}
    edges = (low / shrink).min().item(), (high / shrink).max().item()
    return [*(round(edge, 4) for edge in edges), few, apart]


def _drawn(corpus: Path) -> list[str]:
    data = corpus.read_bytes()
    lines = (gzip.decompress(data) if corpus.suffix == ".gz" else data).splitlines()
    rows = map(json.loads, random.Random(0).sample(lines, min(DRAWN, len(lines))))  # noqa: S311
    return [f"{row.get('title') or ''}\n{row['text']}".strip() for row in rows]


if __name__ == "__main__":
    main(sys.argv[1:])
