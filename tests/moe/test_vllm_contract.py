"""What we rely on in vLLM, read out of its source; fails where a name or a signature has moved."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from serving.moe import vllm_experts
from serving.moe.ogs_flags import HANDSHAKE
from serving.moe.tables import digest
from serving.moe.vllm_plugin import KNOWN_KERNELS

pytestmark = pytest.mark.moe

SOURCES = Path(__file__).resolve().parents[2] / ".venv-moe" / "vllm"
VERSIONS = ("0.26.0", "0.32.0", "0.33.0")
EACH = pytest.mark.parametrize("version", VERSIONS)

MOE = "model_executor/layers/fused_moe"
KERNELS = "third_party/triton_kernels"
METHOD = "model_executor/layers/quantization/mxfp4.py"


def tree(version: str, path: str) -> ast.Module:
    folder = SOURCES / version / "vllm"
    if not folder.exists():
        pytest.skip(f"the sources of vLLM {version} are not here: make test-moe fetches them")
    return ast.parse((folder / path).read_text())


def defined(version: str, path: str, *names: str) -> ast.AST:
    """Return a function or class by its dotted name."""
    node: ast.AST = tree(version, path)
    for name in names:
        node = next(
            each
            for each in ast.iter_child_nodes(node)
            if isinstance(each, ast.FunctionDef | ast.ClassDef) and each.name == name
        )
    return node


def parameters(function: ast.AST) -> list[str]:
    assert isinstance(function, ast.FunctionDef)
    return [each.arg for each in (*function.args.args, *function.args.kwonlyargs)]


@EACH
def test_the_plugin_group_is_loaded_in_every_process(version: str) -> None:
    source = ast.unparse(tree(version, "plugins/__init__.py"))
    assert "DEFAULT_PLUGINS_GROUP = 'vllm.general_plugins'" in source
    assert "func()" in ast.unparse(defined(version, "plugins/__init__.py", "load_general_plugins"))


@EACH
def test_the_bundled_kernels_get_their_name_from_a_function_without_arguments(version: str) -> None:
    known = defined(version, "utils/import_utils.py", "has_triton_kernels")
    assert parameters(known) == []
    assert "import_triton_kernels()" in ast.unparse(known)


@EACH
def test_flags_are_chosen_by_the_function_that_we_wrap(version: str) -> None:
    chosen = defined(version, f"{KERNELS}/matmul_ogs_details/opt_flags.py", "make_opt_flags")
    assert parameters(chosen)[4:8] == ["m", "n", "k", "routing_data"]
    module = tree(version, f"{KERNELS}/matmul_ogs.py")
    imported = {
        alias.name
        for node in module.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert "make_opt_flags" in imported  # so the name in this module is the one to replace
    calls = [
        node
        for node in ast.walk(defined(version, f"{KERNELS}/matmul_ogs.py", "matmul_ogs"))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "make_opt_flags"
    ]
    assert [ast.unparse(each) for each in calls[0].args[4:8]] == ["M", "N", "K", "routing_data"]


@EACH
def test_every_flag_that_we_set_reaches_the_launch(version: str) -> None:
    fields = defined(version, f"{KERNELS}/matmul_ogs_details/opt_flags.py", "OptFlags")
    names = {
        node.target.id
        for node in ast.walk(fields)
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    ours = {"block_m", "num_stages", "group_m", "target_kernel_kwargs"}
    looked_at = {"split_k", "is_persistent", "fused_scatter", *HANDSHAKE}
    assert ours | looked_at <= names
    launch = ast.unparse(defined(version, f"{KERNELS}/matmul_ogs.py", "matmul_ogs"))
    assert "**opt_flags.target_kernel_kwargs" in launch
    assert "num_stages=opt_flags.num_stages" in launch


@EACH
def test_tile_lists_exist_for_every_number_of_rows_that_we_set(version: str) -> None:
    source = ast.unparse(tree(version, f"{KERNELS}/routing.py"))
    assert "block_m_log2_start = 4" in source
    assert "block_m_log2_end = 9 if is_hip() else 8" in source


@EACH
def test_the_bundled_kernels_are_the_ones_we_know(version: str) -> None:
    tree(version, "plugins/__init__.py")
    assert digest(SOURCES / version / "vllm" / KERNELS) == KNOWN_KERNELS


@EACH
def test_a_quantisation_can_be_registered_anew_under_its_name(version: str) -> None:
    registry = "model_executor/layers/quantization/__init__.py"
    register = defined(version, registry, "register_quantization_config")
    assert parameters(register) == ["quantization"]
    lookup = ast.unparse(defined(version, registry, "get_quantization_config"))
    assert "method_to_config.update(_CUSTOMIZED_METHOD_TO_QUANT_CONFIG)" in lookup
    name = ast.unparse(defined(version, METHOD, "GptOssMxfp4Config", "get_name"))
    assert f"return '{vllm_experts.NAME}'" in name
    make = defined(version, METHOD, "Mxfp4Config", "get_quant_method")
    assert parameters(make) == ["self", "layer", "prefix"]


@EACH
def test_the_method_lays_out_weights_where_we_do(version: str) -> None:
    setup = defined(version, METHOD, "GptOssMxfp4MoEMethod", "_setup_kernel")
    assert parameters(setup)[1:] == [
        "layer", "w13", "w2", "w13_scale", "w2_scale", "w13_bias", "w2_bias",
    ]  # fmt: skip
    body = ast.unparse(setup)
    used_too = (
        "moe_config=self.moe",
        "mxfp4_backend=self.mxfp4_backend",
        "routing_tables=layer._expert_routing_tables()",
        "self.moe_quant_config =",
    )
    for used in used_too:
        assert used in body, used
    made = parameters(defined(version, f"{MOE}/oracle/mxfp4.py", "make_mxfp4_moe_kernel"))
    assert made[:5] == [
        "moe_quant_config", "moe_config", "experts_cls", "mxfp4_backend", "routing_tables",
    ]  # fmt: skip
    quant = parameters(defined(version, f"{MOE}/config.py", "mxfp4_w4a16_moe_quant_config"))
    assert quant[:4] == ["w1_scale", "w2_scale", "w1_bias", "w2_bias"]


@EACH
def test_the_experts_that_we_inherit_from_are_called_as_ours_are(version: str) -> None:
    stock = f"{MOE}/experts/gpt_oss_triton_kernels_moe.py"
    apply = defined(version, stock, "OAITritonMxfp4ExpertsMonolithic", "apply")
    assert parameters(apply)[1:5] == ["hidden_states", "w1", "w2", "router_logits"]
    kernel = defined(version, f"{MOE}/modular_kernel.py", "FusedMoEKernel")
    assert "return self.impl.fused_experts" in ast.unparse(kernel)
    config = ast.unparse(defined(version, f"{MOE}/config.py", "FusedMoEConfig"))
    for field in ("num_experts", "experts_per_token", "hidden_dim", "is_lora_enabled"):
        assert f"{field}: " in config, field
    parallel = ast.unparse(defined(version, f"{MOE}/config.py", "FusedMoEParallelConfig"))
    for field in ("tp_size", "ep_size", "dp_size"):
        assert f"{field}: int" in parallel, field
