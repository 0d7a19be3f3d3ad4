"""Look at a folder of weights before vLLM does: that it is gpt-oss, whole, and safe to load.

Reads settings and headers, not the gigabytes: it takes milliseconds. `sums.py` reads the rest.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .headers import Damaged, Tensor, read_header
from .profiles import MODELS, Model

UNSAFE = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".py", ".so", ".dll"}
"""Formats that run code when they are loaded, or are code."""
INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
WIDTH, VOCABULARY, GROUP = 2880, 201_088, 32
ENDS = {200_002, 200_012}
"""The tokens `<|return|>` and `<|call|>`; without them an answer never ends."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found about one part; the message says what to do unless all is well."""

    part: str
    state: Literal["ok", "warn", "fail"]
    message: str


def examine(folder: Path, name: str) -> Iterator[Finding]:
    """Look at one part after the other of what is to be served as `name`."""
    yield _formats(folder)
    config = _config(folder, name)
    yield config
    if config.state == "ok":
        yield from _weights(folder, MODELS[name])
    yield _tokenizer(folder)
    yield _generation(folder)


def _formats(folder: Path) -> Finding:
    found = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.suffix.lower() in UNSAFE and path.is_file()
    )
    if found:
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        return Finding(
            "formats",
            "fail",
            f"{', '.join(found[:3])}{more}: such files can run code; weights are *.safetensors "
            "here, so delete them (vLLM needs none, nor the folders metal and original)",
        )
    return Finding("formats", "ok", "nothing that could run code")


def _config(folder: Path, name: str) -> Finding:
    config = _read(folder / "config.json")
    if isinstance(config, str):
        return Finding("config", "fail", config)
    model, wrong = MODELS[name], None
    wanted: dict[str, object] = {
        "model_type": "gpt_oss",
        "num_hidden_layers": model.layers,
        "num_local_experts": model.experts,
        "num_experts_per_tok": 4,
        "hidden_size": WIDTH,
        "intermediate_size": WIDTH,
        "vocab_size": VOCABULARY,
    }
    for key, value in wanted.items():
        if config.get(key) != value:
            wrong = f"{key} is {config.get(key)!r}, of {name} it is {value!r}"
            break
    quantised = config.get("quantization_config")
    if not isinstance(quantised, dict) or quantised.get("quant_method") != "mxfp4":
        wrong = wrong or "its experts are not MXFP4"
    if "auto_map" in config:
        wrong = wrong or "it brings code of its own (auto_map)"
    if wrong:
        return Finding("config", "fail", f"config.json: {wrong}; take the model as OpenAI has it")
    return Finding("config", "ok", f"{name}: {model.layers} layers of {model.experts} experts")


# --- the shards ---------------------------------------------------------------------------------


def _weights(folder: Path, model: Model) -> Iterator[Finding]:
    index = _shards(folder)
    if isinstance(index, str):
        yield Finding("weights", "fail", index)
        return
    tensors: dict[str, Tensor] = {}
    whole = True
    for shard, named in sorted(index.items()):
        held = _shard(folder / shard, named)
        if isinstance(held, str):
            whole = False
            yield Finding("weights", "fail", f"{shard}: {held}; copy it again")
        else:
            tensors |= held
    if whole:
        size = sum((folder / shard).stat().st_size for shard in index)
        yield _shapes(tensors, model, f"{len(index)} shards, {size / 1e9:.1f} GB")


def _shard(path: Path, named: set[str]) -> dict[str, Tensor] | str:
    """Return what a file holds, or what is wrong with it."""
    try:
        held = read_header(path)
    except FileNotFoundError:
        return "it is missing, though the index names it"
    except (Damaged, OSError) as error:
        return str(error)
    missing = sorted(named - held.keys())
    return f"{missing[0]} is not in it, though the index says so" if missing else held


def _shards(folder: Path) -> dict[str, set[str]] | str:
    """Return the names of tensors by shard; a single file names its own."""
    if not (folder / INDEX).exists():
        if (folder / SINGLE).exists():
            return {SINGLE: set()}
        return f"neither {INDEX} nor {SINGLE} is there"
    index = _read(folder / INDEX)
    if isinstance(index, str):
        return index
    shards: dict[str, set[str]] = {}
    named = index.get("weight_map")
    for tensor, shard in named.items() if isinstance(named, dict) else ():
        if not isinstance(shard, str) or Path(shard).name != shard:
            return f"{INDEX}: {shard!r} is not the name of a file beside it"
        shards.setdefault(shard, set()).add(tensor)
    return shards or f"{INDEX} names no shard"


def _shapes(tensors: dict[str, Tensor], model: Model, told: str) -> Finding:
    """Find a tensor that is missing or has another shape than the model's."""
    for name, tensor in _wanted(model):
        if (found := tensors.get(name)) != tensor:
            is_what = f"{found.kind} {list(found.shape)}" if found else "missing"
            return Finding(
                "weights",
                "fail",
                f"{name} is {is_what}, not {tensor.kind} {list(tensor.shape)}; copy the folder "
                "again, as OpenAI has it",
            )
    return Finding("weights", "ok", told)


def _wanted(model: Model) -> Iterator[tuple[str, Tensor]]:
    groups, half = WIDTH // GROUP, GROUP // 2
    for layer in range(model.layers):
        experts = f"model.layers.{layer}.mlp.experts"
        for part, rows in (("gate_up_proj", 2 * WIDTH), ("down_proj", WIDTH)):
            blocks = (model.experts, rows, groups)
            yield f"{experts}.{part}_blocks", Tensor("U8", (*blocks, half))
            yield f"{experts}.{part}_scales", Tensor("U8", blocks)
            yield f"{experts}.{part}_bias", Tensor("BF16", blocks[:2])
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        yield name, Tensor("BF16", (VOCABULARY, WIDTH))


# --- beside the weights -------------------------------------------------------------------------


def _tokenizer(folder: Path) -> Finding:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        if isinstance(told := _read(folder / name), str):
            return Finding("tokenizer", "fail", told)
        if "auto_map" in told:
            return Finding("tokenizer", "fail", f"{name} brings code of its own (auto_map)")
    return Finding("tokenizer", "ok", "it can be read")


def _generation(folder: Path) -> Finding:
    told = _read(folder / "generation_config.json")
    if isinstance(told, str):
        return Finding("endings", "fail", told)
    ends = told.get("eos_token_id")
    if not isinstance(ends, list) or not set(ends) >= ENDS:
        return Finding(
            "endings", "fail", f"generation_config.json: eos_token_id must hold {sorted(ENDS)}"
        )
    return Finding("endings", "ok", "answers and tool calls end where they should")


def _read(path: Path) -> dict[str, Any] | str:
    """Return a JSON object, or what is wrong with the file."""
    try:
        told = json.loads(path.read_bytes())
    except FileNotFoundError:
        return f"{path.name} is missing; copy it again"
    except (OSError, RecursionError, ValueError) as error:
        return f"{path.name} cannot be read ({type(error).__name__}); copy it again"
    return told if isinstance(told, dict) else f"{path.name} holds no JSON object; copy it again"
