"""What Marlin and Humming are called by, read out of vLLM's and Humming's sources."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from serving.engine.launch import PINNED

pytestmark = pytest.mark.moe

SOURCES = Path(__file__).resolve().parents[2] / ".venv-moe"
EACH = pytest.mark.parametrize(("vllm", "humming"), [("0.26.0", "0.1.10"), (PINNED, "0.1.19")])
MOE = "model_executor/layers/fused_moe"


def defined(file: Path, *names: str) -> ast.AST:
    """Return a function or class of a file by its dotted name."""
    if not SOURCES.exists():
        pytest.skip(f"{SOURCES} is not here: make test-moe fetches it")
    node: ast.AST = ast.parse(file.read_text())
    for name in names:
        node = next(
            each
            for each in ast.walk(node)
            if isinstance(each, ast.FunctionDef | ast.ClassDef) and each.name == name
        )
    return node


def parameters(function: ast.AST) -> list[str]:
    assert isinstance(function, ast.FunctionDef)
    return [each.arg for each in (*function.args.args, *function.args.kwonlyargs)]


def vllm_file(version: str, path: str) -> Path:
    return SOURCES / "vllm" / version / "vllm" / path


@EACH
def test_the_router_is_called_as_it_wants(vllm: str, humming: str) -> None:
    found = defined(vllm_file(vllm, f"{MOE}/router/fused_topk_router.py"), "fused_topk")
    assert parameters(found)[:4] == ["hidden_states", "gating_output", "topk", "renormalize"]
    assert "return (topk_weights, topk_ids, token_expert_indices)" in ast.unparse(found)


@EACH
def test_marlin_is_called_as_it_wants(vllm: str, humming: str) -> None:
    fused = defined(vllm_file(vllm, f"{MOE}/experts/marlin_moe.py"), "fused_marlin_moe")
    assert parameters(fused)[:10] == [
        "hidden_states", "w1", "w2", "bias1", "bias2", "w1_scale", "w2_scale", "topk_weights",
        "topk_ids", "quant_type_id",
    ]  # fmt: skip
    assert "activation" in parameters(fused)
    utils = "model_executor/layers/quantization/utils/marlin_utils_fp4.py"
    prepare = defined(vllm_file(vllm, utils), "prepare_moe_mxfp4_layer_for_marlin")
    assert parameters(prepare) == [
        "layer", "w13", "w2", "w13_scale", "w2_scale", "w13_bias", "w2_bias",
    ]  # fmt: skip
    used = {
        node.attr
        for node in ast.walk(prepare)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "layer"
    }
    assert used == {"params_dtype"}  # all that our stand-in for a layer has
    types = vllm_file(vllm, "scalar_type.py").read_text()
    assert "float4_e2m1f = " in types
    assert "def id(self)" in types
    sizes = vllm_file(vllm, f"{MOE}/oracle/mxfp4.py").read_text()
    wanted = sizes.partition("def mxfp4_round_up_hidden_size_and_intermediate_size")[2]
    marlin = wanted.partition("MARLIN")[2].partition("elif")[0]
    assert "hidden_size, 256" in marlin
    assert "intermediate_size, 128" in marlin


@EACH
def test_gate_and_up_are_interleaved_for_the_activation(vllm: str, humming: str) -> None:
    source = vllm_file(vllm, f"{MOE}/activation.py").read_text()
    assert 'SWIGLUOAI = "swigluoai"' in source
    assert "torch.ops._C.swigluoai_and_mul(output, input)" in source
    apply = defined(vllm_file(vllm, f"{MOE}/activation.py"), "apply_moe_activation")
    assert parameters(apply)[:3] == ["activation", "output", "input"]


@EACH
def test_what_stands_between_hummings_products_is_called_as_it_wants(
    vllm: str, humming: str
) -> None:
    align = defined(vllm_file(vllm, f"{MOE}/moe_align_block_size.py"), "moe_align_block_size")
    assert parameters(align)[:3] == ["topk_ids", "block_size", "num_experts"]
    assert "ignore_invalid_experts" in parameters(align)
    summed = defined(vllm_file(vllm, f"{MOE}/moe_fused_mul_sum.py"), "moe_fused_mul_sum")
    assert {"inputs", "topk_weights", "topk_ids"} <= set(parameters(summed))
    steps = defined(vllm_file(vllm, f"{MOE}/experts/fused_humming_moe.py"), "HummingIndexedExperts")
    told = ast.unparse(steps)
    for ours in (
        "'sorted_ids': sorted_ids", "'expert_ids': expert_ids",
        "'num_tokens_padded': num_tokens_padded", "'valid_shape_m': valid_shape_m",
        "config['block_shape'][0]", "moe_block_size = 64",
    ):  # fmt: skip
        assert ours in told, ours


@EACH
def test_humming_is_called_as_it_wants(vllm: str, humming: str) -> None:
    layer = SOURCES / "humming-kernels" / humming / "humming" / "layer.py"
    fields = [
        ast.unparse(node.target)
        for node in ast.iter_child_nodes(defined(layer, "HummingLayer"))
        if isinstance(node, ast.AnnAssign)
    ]
    assert {"shape_n", "shape_k", "weight_config", "num_experts", "has_bias", "torch_dtype"} <= set(
        fields
    )
    forward = parameters(defined(layer, "HummingLayer", "forward"))
    assert {
        "inputs", "outputs", "sorted_ids", "expert_ids", "num_tokens_padded", "top_k",
        "valid_shape_m", "compute_config", "tuning_config",
    } <= set(forward)  # fmt: skip
    tuning = parameters(defined(layer, "HummingLayerMethod", "get_default_tuning_configs"))
    assert tuning[:2] == ["cls", "layer"]
    assert "gemm_type" in tuning
    assert isinstance(defined(layer, "HummingMethod"), ast.ClassDef)
    schema = layer.parent / "schema" / "gpt_oss_mxfp4.py"
    told = ast.unparse(defined(schema, "GptOssMxfp4WeightSchema"))
    assert "quant_method: str = 'gpt_oss_mxfp4'" in told
    for name in ("'weight'", "'weight_scale'", "'bias'"):
        assert name in told
    assert "shape_k // 2" in told
    assert "shape_k // 32" in told
    assert 'INDEXED = "indexed"' in (layer.parent / "config" / "enum.py").read_text()


def test_a_parameter_of_another_name_is_noticed(tmp_path: Path) -> None:
    """The control: what the tests above compare does tell a source from one that has changed."""
    source = vllm_file(PINNED, f"{MOE}/router/fused_topk_router.py").read_text()
    moved = tmp_path / "router.py"
    moved.write_text(source.replace("gating_output", "router_logits"))
    assert moved.read_text() != source
    assert parameters(defined(moved, "fused_topk"))[1] == "router_logits"
    with pytest.raises(StopIteration):
        defined(moved, "fused_top_k")
