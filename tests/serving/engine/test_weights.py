from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from serving.engine.weights import Finding, examine
from tests.serving.engine.folder import make_folder, put

INDEX = "model.safetensors.index.json"
SHARD = "model-00001-of-00003.safetensors"


def failures(folder: Path, name: str = "gpt-oss-20b") -> list[Finding]:
    return [finding for finding in examine(folder, name) if finding.state == "fail"]


@pytest.mark.parametrize("name", ["gpt-oss-20b", "gpt-oss-120b"])
def test_a_whole_folder_is_fine_and_its_size_is_told(tmp_path: Path, name: str) -> None:
    folder = make_folder(tmp_path, name)
    found = {finding.part: finding for finding in examine(folder, name)}
    assert {finding.state for finding in found.values()} == {"ok"}
    assert found.keys() == {"formats", "config", "weights", "tokenizer", "endings"}
    assert found["weights"].message.startswith("3 shards, ")


def test_one_file_without_an_index_will_do(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, shards=1)
    (folder / "model.safetensors.index.json").unlink()
    (folder / "model-00000-of-00001.safetensors").rename(folder / "model.safetensors")
    assert failures(folder) == []


def _edit(name: str, **changes: object) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        told = json.loads((folder / name).read_text())
        put(folder / name, {**told, **changes})

    return edit


def _cut(folder: Path) -> None:
    with (folder / SHARD).open("r+b") as file:
        file.truncate(1_000_000)


def _unname(folder: Path) -> None:
    """Let the index name one tensor in the wrong shard."""
    index = json.loads((folder / INDEX).read_text())
    for name, shard in index["weight_map"].items():
        if shard != SHARD:
            index["weight_map"][name] = SHARD
            break
    put(folder / INDEX, index)


def _pickle(name: str) -> Callable[[Path], None]:
    def add(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"\x80\x04.")

    return add


@pytest.mark.parametrize(
    ("damage", "part", "told"),
    [
        pytest.param(_edit("config.json", model_type="llama"), "config", "model_type", id="llama"),
        pytest.param(_edit("config.json", num_hidden_layers=36), "config", "layers", id="layers"),
        pytest.param(_edit("config.json", num_local_experts=8), "config", "experts", id="experts"),
        pytest.param(
            _edit("config.json", quantization_config=None), "config", "MXFP4", id="bfloat16"
        ),
        pytest.param(_edit("config.json", auto_map={}), "config", "code", id="remote-code"),
        pytest.param(
            _edit("tokenizer_config.json", auto_map={}), "tokenizer", "code", id="tokenizer-code"
        ),
        pytest.param(
            _edit("generation_config.json", eos_token_id=200002), "endings", "200012", id="endings"
        ),
        pytest.param(lambda f: (f / "config.json").unlink(), "config", "missing", id="no-config"),
        pytest.param(
            lambda f: (f / "tokenizer.json").write_text("{"), "tokenizer", "read", id="tokenizer"
        ),
        pytest.param(
            lambda f: (f / "config.json").write_text("[]"), "config", "no JSON object", id="list"
        ),
        pytest.param(
            lambda f: (f / "config.json").write_text("[" * 100_000), "config", "read", id="deep"
        ),
        pytest.param(lambda f: (f / SHARD).unlink(), "weights", "missing", id="no-shard"),
        pytest.param(_cut, "weights", "its header tells of", id="cut-short"),
        pytest.param(
            lambda f: (f / SHARD).write_bytes(b""), "weights", "no header", id="empty-shard"
        ),
        pytest.param(_unname, "weights", "though the index says so", id="wrong-shard"),
        pytest.param(lambda f: (f / INDEX).unlink(), "weights", "neither", id="no-index"),
        pytest.param(
            lambda f: put(f / INDEX, {"weight_map": {"a": "../a.safetensors"}}),
            "weights", "not the name of a file", id="index-leaves-the-folder",
        ),
        pytest.param(lambda f: put(f / INDEX, {}), "weights", "no shard", id="empty-index"),
        pytest.param(_pickle("pytorch_model.bin"), "formats", "delete them", id="bin"),
        pytest.param(_pickle("consolidated.00.PTH"), "formats", "delete them", id="pth"),
        pytest.param(_pickle("metal/model.bin"), "formats", "metal/model.bin", id="metal"),
        pytest.param(_pickle("modeling_gpt_oss.py"), "formats", "can run code", id="python"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_what_to_do(
    tmp_path: Path, damage: Callable[[Path], object], part: str, told: str
) -> None:
    folder = make_folder(tmp_path)
    assert failures(folder) == []  # the control
    damage(folder)
    (found,) = failures(folder)
    assert found.part == part
    assert told in found.message


def test_the_shape_of_every_expert_is_looked_at(tmp_path: Path) -> None:
    name = "model.layers.23.mlp.experts.down_proj_scales"
    (found,) = failures(make_folder(tmp_path, instead={name: ("U8", (32, 2880, 96))}))
    assert found.message.startswith(f"{name} is U8 [32, 2880, 96], not U8 [32, 2880, 90]")


def test_one_model_is_not_taken_for_the_other(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, "gpt-oss-120b")
    (found,) = failures(folder, "gpt-oss-20b")
    assert "num_hidden_layers is 36, of gpt-oss-20b it is 24" in found.message
