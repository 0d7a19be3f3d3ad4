"""What we rely on in vLLM, read out of its source; fails where a name or a signature has moved."""

from __future__ import annotations

import ast
from collections.abc import Callable
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
EXPERTS = f"{MOE}/experts/gpt_oss_triton_kernels_moe.py"
ORACLE = f"{MOE}/oracle/mxfp4.py"

MOVED: dict[str, tuple[str, str]] = {}
"""By file, a text and what a control puts in its place."""


def tree(version: str, path: str) -> ast.Module:
    folder = SOURCES / version / "vllm"
    if not folder.exists():
        pytest.skip(f"the sources of vLLM {version} are not here: make test-moe fetches them")
    source = (folder / path).read_text()
    was, becomes = MOVED.get(path, ("", ""))
    if was not in source:
        raise LookupError(f"{path} of vLLM {version} has no {was}")
    return ast.parse(source.replace(was, becomes) if was else source)


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


def returned(function: ast.AST) -> list[str]:
    return [
        ast.unparse(each.value)
        for each in ast.walk(function)
        if isinstance(each, ast.Return) and each.value
    ]


def calls(function: ast.AST, name: str) -> list[str]:
    return [
        ast.unparse(each)
        for each in ast.walk(function)
        if isinstance(each, ast.Call) and ast.unparse(each.func) == name
    ]


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


@EACH
def test_the_configuration_makes_the_method_that_we_replace(version: str) -> None:
    make = defined(version, METHOD, "Mxfp4Config", "get_quant_method")
    assert parameters(make) == ["self", "layer", "prefix"]
    config = defined(version, METHOD, "GptOssMxfp4Config")
    assert isinstance(config, ast.ClassDef)
    assert [ast.unparse(base) for base in config.bases] == ["Mxfp4Config"]
    own = {each.name: each for each in config.body if isinstance(each, ast.FunctionDef)}
    assert "get_quant_method" not in own
    if inner := own.get("_make_moe_method"):
        assert parameters(inner) == ["self", "moe"]
        assert returned(inner) == ["GptOssMxfp4MoEMethod(moe)"]
        assert "self._make_moe_method(layer.moe_config)" in returned(make)
    else:
        assert "GptOssMxfp4MoEMethod(layer.moe_config)" in returned(make)
    init = defined(version, METHOD, "GptOssMxfp4MoEMethod", "__init__")
    assert parameters(init) == ["self", "moe"]


@EACH
def test_the_method_lays_out_weights_where_we_do(version: str) -> None:
    setup = defined(version, METHOD, "GptOssMxfp4MoEMethod", "_setup_kernel")
    assert parameters(setup)[1:] == [
        "layer", "w13", "w2", "w13_scale", "w2_scale", "w13_bias", "w2_bias",
    ]  # fmt: skip
    load = defined(version, METHOD, "GptOssMxfp4MoEMethod", "process_weights_after_loading")
    assert parameters(load) == ["self", "layer"]
    assert calls(load, "self._setup_kernel") == [
        "self._setup_kernel(layer, w13, w2, w13_scale, w2_scale, w13_bias, w2_bias)"
    ]
    for name in ("w13", "w2"):
        assert f"{name} = layer.{name}_weight\n" in ast.unparse(load)
        assert f"{name}_scale = layer.{name}_weight_scale\n" in ast.unparse(load)
        assert f"{name}_bias = getattr(layer, '{name}_bias', None)\n" in ast.unparse(load)
    body = ast.unparse(setup)
    used_too = (
        "moe_config=self.moe",
        "mxfp4_backend=self.mxfp4_backend",
        "routing_tables=layer._expert_routing_tables()",
        "self.moe_quant_config =",
    )
    for used in used_too:
        assert used in body, used
    made = parameters(defined(version, ORACLE, "make_mxfp4_moe_kernel"))
    assert made[:5] == [
        "moe_quant_config", "moe_config", "experts_cls", "mxfp4_backend", "routing_tables",
    ]  # fmt: skip
    quant = parameters(defined(version, f"{MOE}/config.py", "mxfp4_w4a16_moe_quant_config"))
    assert quant[:4] == ["w1_scale", "w2_scale", "w1_bias", "w2_bias"]


@EACH
def test_the_experts_that_we_inherit_from_are_called_as_ours_are(version: str) -> None:
    apply = defined(version, EXPERTS, "OAITritonMxfp4ExpertsMonolithic", "apply")
    assert parameters(apply)[1:5] == ["hidden_states", "w1", "w2", "router_logits"]
    init = defined(version, EXPERTS, "OAITritonMxfp4ExpertsMonolithic", "__init__")
    assert parameters(init) == ["self", "moe_config", "quant_config"]
    make = defined(version, ORACLE, "make_mxfp4_moe_kernel")
    by_name = "experts_cls(moe_config=moe_config, quant_config=moe_quant_config"
    assert [call.startswith(by_name) for call in calls(make, "experts_cls")] == [True, True]
    kernel = defined(version, f"{MOE}/modular_kernel.py", "FusedMoEKernel")
    assert "return self.impl.fused_experts" in ast.unparse(kernel)
    impl = defined(version, f"{MOE}/modular_kernel.py", "FusedMoEKernelMonolithicImpl", "apply")
    (call,) = calls(impl, "self.fused_experts.apply")
    assert "hidden_states=a1q, w1=w1, w2=w2, router_logits=router_logits" in call
    config = ast.unparse(defined(version, f"{MOE}/config.py", "FusedMoEConfig"))
    sizes = ("num_experts", "experts_per_token", "hidden_dim", "intermediate_size")
    for field in (*sizes, "is_lora_enabled", "activation"):
        assert f"    {field}: " in config, field
    parallel = ast.unparse(defined(version, f"{MOE}/config.py", "FusedMoEParallelConfig"))
    for field in ("tp_size: int", "ep_size: int", "dp_size: int", "enable_eplb: bool"):
        assert f"    {field}" in parallel, field


@EACH
def test_the_class_for_which_ours_stand_in_is_chosen_for_one_backend_only(version: str) -> None:
    made = ast.unparse(defined(version, METHOD, "GptOssMxfp4MoEMethod", "__init__"))
    assert "self.mxfp4_backend, self.experts_cls = select_mxfp4_moe_backend(moe)" in made
    naming = [
        branch
        for branch in ast.walk(defined(version, ORACLE, "backend_to_kernel_cls"))
        if isinstance(branch, ast.If)
        and any("OAITritonMxfp4ExpertsMonolithic" in ast.unparse(each) for each in branch.body)
    ]
    assert [ast.unparse(each.test) for each in naming] == ["backend == Mxfp4MoeBackend.TRITON"]
    supports = defined(version, EXPERTS, "OAITritonMxfp4ExpertsMonolithic", "_supports_activation")
    assert "return activation == MoEActivation.SWIGLUOAI" in ast.unparse(supports)
    names = ast.unparse(defined(version, f"{MOE}/activation.py", "MoEActivation"))
    assert f"SWIGLUOAI = '{vllm_experts.ACTIVATION}'" in names


@pytest.mark.parametrize(
    ("check", "path", "was", "becomes"),
    [
        pytest.param(
            test_the_configuration_makes_the_method_that_we_replace,
            METHOD, "(self, moe: FusedMoEConfig)", "(self, config: FusedMoEConfig)",
            id="parameter-of-the-method",
        ),
        pytest.param(
            test_the_configuration_makes_the_method_that_we_replace,
            METHOD, "GptOssMxfp4MoEMethod(", "OtherMoEMethod(", id="another-method",
        ),
        pytest.param(
            test_the_method_lays_out_weights_where_we_do,
            METHOD, "w13_bias: torch.Tensor", "bias13: torch.Tensor", id="parameter-of-the-setup",
        ),
        pytest.param(
            test_the_method_lays_out_weights_where_we_do,
            METHOD, "_setup_kernel(layer, w13, w2,", "_setup_kernel(layer, w2, w13,", id="order",
        ),
        pytest.param(
            test_the_experts_that_we_inherit_from_are_called_as_ours_are,
            EXPERTS, "quant_config: FusedMoEQuantConfig", "config: FusedMoEQuantConfig",
            id="parameter-of-the-experts",
        ),
        pytest.param(
            test_the_experts_that_we_inherit_from_are_called_as_ours_are,
            f"{MOE}/config.py", "enable_eplb:", "balanced:", id="field",
        ),
        pytest.param(
            test_the_class_for_which_ours_stand_in_is_chosen_for_one_backend_only,
            ORACLE, "== Mxfp4MoeBackend.TRITON:", "in TRITON_BACKENDS:", id="more-backends",
        ),
    ],
)  # fmt: skip
@EACH
def test_a_source_in_which_it_moved_fails_its_check(
    monkeypatch: pytest.MonkeyPatch, version: str, check: Callable[[str], None], path: str,
    was: str, becomes: str,
) -> None:  # fmt: skip
    """The control: each check passes on the source as it is, and not when a name has moved."""
    check(version)
    monkeypatch.setitem(MOVED, path, (was, becomes))
    with pytest.raises((AssertionError, StopIteration)):
        check(version)
