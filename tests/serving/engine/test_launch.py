from __future__ import annotations

import ast
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import serving.engine
from serving.engine.launch import OLDEST, PINNED, REFUSED, Engine, launch
from serving.engine.profiles import PROFILES, EngineError

ENGINE = Engine("gpt-oss-20b", "/srv/models/gpt-oss-20b", "/srv/cache")


def flags(engine: Engine) -> dict[str, str]:
    """Return each flag with its value; a switch has none."""
    words = launch(engine).command[3:]
    pairs = zip(words, (*words[1:], "--"), strict=True)
    return {
        word: "" if after.startswith("--") else after
        for word, after in pairs
        if word.startswith("--")
    }


def test_the_command_in_full() -> None:
    assert launch(ENGINE).command == (
        "vllm", "serve", "/srv/models/gpt-oss-20b",
        "--served-model-name", "gpt-oss-20b",
        "--host", "127.0.0.1", "--port", "8000", "--tensor-parallel-size", "1",
        "--load-format", "safetensors",
        "--max-model-len", "16384", "--max-num-seqs", "16", "--max-num-batched-tokens", "2048",
        "--gpu-memory-utilization", "0.95", "--max-cudagraph-capture-size", "32",
        "--moe-backend", "auto",
        "--tool-call-parser", "openai", "--reasoning-parser", "openai_gptoss",
        "--reasoning-config",
        '{"reasoning_start_str":"<|channel|>analysis<|message|>",'
        '"reasoning_end_str":"<|end|><|start|>assistant<|channel|>final"}',
        "--reasoning-effort-map",
        '{"none":"low","minimal":"low","xhigh":"high","max":"high"}',
        "--prefix-caching-hash-algo", "sha256",
        "--allowed-media-domains", "none.invalid",
        "--middleware", "serving.engine.gate.Gate",
        "--disable-access-log-for-endpoints", "/health,/metrics",
        "--enable-auto-tool-choice", "--enable-prompt-tokens-details", "--disable-fastapi-docs",
    )  # fmt: skip


def test_nothing_reports_fetches_or_keeps_code_where_others_write() -> None:
    told = launch(ENGINE).environment
    assert {name for name, value in told.items() if value == "1"} >= {
        "VLLM_NO_USAGE_STATS", "DO_NOT_TRACK", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE",
        "HF_HUB_DISABLE_TELEMETRY", "VLLM_MAX_N_SEQUENCES",
    }  # fmt: skip
    assert told["VLLM_MEDIA_URL_ALLOW_REDIRECTS"] == "0"
    assert told["VLLM_CACHE_ROOT"] == "/srv/cache/vllm"
    assert told["VLLM_PLUGINS"] == "footnote_moe"
    assert told["VLLM_HOST_IP"] == "127.0.0.1"


def test_no_variable_is_both_set_and_refused_and_no_key_is_told() -> None:
    plan = launch(ENGINE)
    assert not plan.environment.keys() & set(REFUSED)
    assert "VLLM_SERVER_DEV_MODE" in plan.refused
    assert not any("KEY" in name for name in plan.environment)
    assert "--api-key" not in plan.command


@pytest.mark.parametrize("model", PROFILES)
def test_a_profile_changes_how_much_is_done_at_once_and_nothing_else(model: str) -> None:
    engines = [replace(ENGINE, model=model, profile=profile.name) for profile in PROFILES[model]]
    first, *others = map(flags, engines)
    sized = {
        "--max-model-len", "--max-num-seqs", "--max-num-batched-tokens",
        "--gpu-memory-utilization", "--max-cudagraph-capture-size",
    }  # fmt: skip
    for other in others:
        assert {name for name, _ in first.items() ^ other.items()} <= sized
    for engine, profile in zip(engines, PROFILES[model], strict=True):
        assert flags(engine)["--max-num-seqs"] == str(profile.sequences)


def test_what_an_operator_sets_is_what_vllm_gets() -> None:
    engine = replace(
        ENGINE,
        gpus=2,
        host="0.0.0.0",  # noqa: S104
        port=9000,
        backend="marlin",
        moe="off",
        tables="/t",
    )
    told = flags(engine)
    assert told["--tensor-parallel-size"] == "2"
    assert told["--host"] == "0.0.0.0"  # noqa: S104
    assert told["--port"] == "9000"
    assert told["--moe-backend"] == "marlin"
    environment = launch(engine).environment
    assert environment["FOOTNOTE_MOE"] == "off"
    assert environment["FOOTNOTE_MOE_TABLES"] == "/t"


def test_the_command_is_that_of_the_version_in_use() -> None:
    assert "--reasoning-effort-map" in flags(replace(ENGINE, vllm="0.33.1"))
    assert "--reasoning-effort-map" in flags(replace(ENGINE, vllm="1.0.0"))
    assert "--reasoning-effort-map" not in flags(replace(ENGINE, vllm="0.32.0+cpu"))


@pytest.mark.parametrize("version", ["0.31.9", "0.9.0", "dev"])
def test_an_old_or_unknown_version_is_refused(version: str) -> None:
    with pytest.raises(EngineError, match="vLLM"):
        launch(replace(ENGINE, vllm=version))
    assert tuple(map(int, PINNED.split(".")))[:2] >= OLDEST


@pytest.mark.parametrize(
    "change",
    [{"weights": "openai/gpt-oss-20b"}, {"model": "openai/gpt-oss-20b"}],
    ids=["weights", "model"],
)
def test_a_name_at_a_hub_is_refused_with_what_to_do(change: dict[str, str]) -> None:
    with pytest.raises(EngineError, match="hf download openai/gpt-oss-20b --local-dir gpt-oss-20b"):
        launch(replace(ENGINE, **change))  # type: ignore[arg-type]


def test_json_in_the_flags_is_json() -> None:
    told = flags(ENGINE)
    assert json.loads(told["--reasoning-config"]).keys() == {
        "reasoning_start_str", "reasoning_end_str",
    }  # fmt: skip
    assert set(json.loads(told["--reasoning-effort-map"]).values()) <= {"low", "medium", "high"}


def test_the_folder_needs_the_standard_library_only_since_vllms_container_has_no_more() -> None:
    files = sorted(Path(serving.engine.__path__[0]).glob("*.py"))
    assert len(files) > 5
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names = [each.name.partition(".")[0] for each in node.names]
                assert set(names) <= sys.stdlib_module_names, file.name
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                assert str(node.module).partition(".")[0] in sys.stdlib_module_names, file.name
