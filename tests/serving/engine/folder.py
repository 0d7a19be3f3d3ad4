"""A folder of weights as OpenAI has it, but for the numbers: sparse files of the true sizes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from serving.engine.headers import SIZES
from serving.engine.profiles import MODELS, Model

Shapes = Mapping[str, tuple[str, Sequence[int]]]


def make_folder(
    parent: Path, name: str = "gpt-oss-20b", shards: int = 3, instead: Shapes | None = None
) -> Path:
    """Write the folder of a model; `instead` gives tensors another shape."""
    folder = parent / name
    folder.mkdir(parents=True)
    model = MODELS[name]
    put(folder / "config.json", config(model))
    put(folder / "generation_config.json", {"eos_token_id": [200002, 199999, 200012]})
    put(folder / "tokenizer.json", {"model": {}})
    put(folder / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast"})
    every = list((dict(shapes(model)) | dict(instead or {})).items())
    names = [f"model-{number:05}-of-{shards:05}.safetensors" for number in range(shards)]
    cut = {name: dict(every[number::shards]) for number, name in enumerate(names)}
    for shard, held in cut.items():
        put_shard(folder / shard, held)
    where = {tensor: shard for shard, held in cut.items() for tensor in held}
    put(folder / "model.safetensors.index.json", {"metadata": {}, "weight_map": where})
    return folder


def config(model: Model) -> dict[str, Any]:
    return {
        "architectures": ["GptOssForCausalLM"], "model_type": "gpt_oss",
        "num_hidden_layers": model.layers, "num_local_experts": model.experts,
        "num_experts_per_tok": 4, "hidden_size": 2880, "intermediate_size": 2880,
        "vocab_size": 201088, "quantization_config": {"quant_method": "mxfp4"},
    }  # fmt: skip


def shapes(model: Model) -> Shapes:
    """The names and shapes of the model card, written apart from the code that checks them."""
    found: dict[str, tuple[str, Sequence[int]]] = {
        "model.embed_tokens.weight": ("BF16", (201088, 2880)),
        "lm_head.weight": ("BF16", (201088, 2880)),
        "model.norm.weight": ("BF16", (2880,)),
    }
    for layer in range(model.layers):
        at, n = f"model.layers.{layer}.mlp.experts.", model.experts
        found |= {
            f"{at}gate_up_proj_blocks": ("U8", (n, 5760, 90, 16)),
            f"{at}gate_up_proj_scales": ("U8", (n, 5760, 90)),
            f"{at}gate_up_proj_bias": ("BF16", (n, 5760)),
            f"{at}down_proj_blocks": ("U8", (n, 2880, 90, 16)),
            f"{at}down_proj_scales": ("U8", (n, 2880, 90)),
            f"{at}down_proj_bias": ("BF16", (n, 2880)),
        }
    return found


def put_shard(path: Path, held: Shapes) -> None:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, (kind, shape) in held.items():
        last = end + SIZES[kind] * math.prod(shape)
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [end, last]}
        end = last
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)


def put(path: Path, value: object) -> None:
    path.write_text(json.dumps(value))
