"""From settings to the exact `vllm serve` command and its environment; pure.

Where a flag or variable is not for speed, it closes something. What vLLM may answer at all is
decided by `gate.py`, which goes into vLLM's own process as a middleware.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import PurePath

from .profiles import EngineError, Profile, choose

PINNED = "0.33.0"
"""The release that compose.yaml names; `tests/compose` holds the two against each other."""
OLDEST = (0, 32)
"""Before this release a single request could end the engine for everybody."""

END_OF_THINKING = "<|end|><|start|>assistant<|channel|>final"
"""Must not go on to `<|message|>`: a grammar refuses that when a budget forces it (HTTP 500)."""
THINKING = {
    "reasoning_start_str": "<|channel|>analysis<|message|>",
    "reasoning_end_str": END_OF_THINKING,
}
EFFORTS = {"none": "low", "minimal": "low", "xhigh": "high", "max": "high"}
"""What gpt-oss does not know, by what it does know; needs 0.33."""

NOWHERE = "none.invalid"
"""The one host that media may be fetched from. An empty list would admit all of them."""

REFUSED = (
    "VLLM_SERVER_DEV_MODE",  # /collective_rpc and others that run what they are sent
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING",
    "VLLM_ALLOW_INSECURE_SERIALIZATION",
    "VLLM_ENABLE_RESPONSES_API_STORE",
    "VLLM_DEBUG_LOG_API_SERVER_RESPONSE",  # would log answers
    "VLLM_USE_RUST_FRONTEND",  # answers without the middleware that is our gate
    "PYTHONOPTIMIZE",  # checks that are written as assertions would be gone
)
"""Variables that must not be set: each opens what is closed here."""


@dataclass(frozen=True, slots=True)
class Engine:
    """What an operator decides, and where things lie for the process that serves."""

    model: str
    weights: str  # a folder
    cache: str  # a folder of its own: entries of vLLM's caches are code
    gate: str = f"{__package__}.gate.Gate"
    path: str = ""  # where `gate` is imported from
    profile: str = ""
    gpus: int = 1
    host: str = "127.0.0.1"
    port: int = 8000
    backend: str = "auto"
    moe: str = "auto"
    tables: str = ""
    vllm: str = PINNED


@dataclass(frozen=True, slots=True)
class Launch:
    """What to run: `command` with `environment` on top of what is set, and `refused` not set.

    The key is not in here. It goes into the variable `VLLM_API_KEY`, never on a command line.
    """

    profile: Profile
    command: tuple[str, ...]
    environment: dict[str, str]
    refused: tuple[str, ...] = REFUSED


def launch(engine: Engine) -> Launch:
    """Return how to serve; raises `EngineError` for what cannot be served."""
    if "/" in engine.model:
        refuse_hub_name(engine.model)
    profile = choose(engine.model, engine.profile)
    release = _release(engine.vllm)
    refuse_hub_name(engine.weights)
    flags = {
        "--served-model-name": engine.model,
        "--host": engine.host,
        "--port": str(engine.port),
        "--tensor-parallel-size": str(engine.gpus),
        "--load-format": "safetensors",  # never a pickle
        "--max-model-len": str(profile.context),
        "--max-num-seqs": str(profile.sequences),
        "--max-num-batched-tokens": str(profile.batched),
        "--gpu-memory-utilization": str(profile.share),
        **({"--max-cudagraph-capture-size": str(profile.graphs)} if profile.graphs else {}),
        "--moe-backend": engine.backend,
        "--tool-call-parser": "openai",
        "--reasoning-parser": "openai_gptoss",
        "--reasoning-config": _json(THINKING),
        **({"--reasoning-effort-map": _json(EFFORTS)} if release >= (0, 33) else {}),
        "--prefix-caching-hash-algo": "sha256",
        "--allowed-media-domains": NOWHERE,
        "--middleware": engine.gate,
        "--disable-access-log-for-endpoints": "/health,/metrics",
    }
    switches = (
        "--enable-auto-tool-choice",
        "--enable-prompt-tokens-details",
        "--disable-fastapi-docs",
    )
    words = [word for pair in flags.items() for word in pair]
    return Launch(
        profile, ("vllm", "serve", engine.weights, *words, *switches), _environment(engine)
    )


def refuse_hub_name(weights: str) -> None:
    """Raise `EngineError` unless this is the path of a folder: nothing is fetched at run time."""
    if not PurePath(weights).is_absolute():
        model = weights.rpartition("/")[2]
        raise EngineError(
            f"{weights} is not a folder but a name at a hub, and nothing is fetched from there at "
            f"run time; on a machine with internet, run: hf download {weights} --local-dir {model} "
            "--exclude 'original/*' --exclude 'metal/*'; then bring that folder here and name it "
            "by its path"
        )


def _environment(engine: Engine) -> dict[str, str]:
    return {
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "VLLM_SYSTEM_START_DATE": "2026-01-01",  # a prompt of today begins like one of tomorrow
        "VLLM_MAX_N_SEQUENCES": "1",
        "VLLM_MEDIA_URL_ALLOW_REDIRECTS": "0",
        "VLLM_HOST_IP": "127.0.0.1",
        "VLLM_PLUGINS": "footnote_moe",  # and no other, such as vLLM's own that fetch LoRAs
        "VLLM_ENGINE_READY_TIMEOUT_S": "1800",
        "VLLM_CACHE_ROOT": f"{engine.cache}/vllm",
        "TRITON_CACHE_DIR": f"{engine.cache}/triton",
        "TORCHINDUCTOR_CACHE_DIR": f"{engine.cache}/inductor",
        "FOOTNOTE_MOE": engine.moe,
        **({"FOOTNOTE_MOE_TABLES": engine.tables} if engine.tables else {}),
        **({"PYTHONPATH": engine.path} if engine.path else {}),
    }


def _release(version: str) -> tuple[int, int]:
    found = re.match(r"(\d+)\.(\d+)", version)
    if found is None:
        raise EngineError(f"{version!r} is not a version of vLLM")
    release = int(found[1]), int(found[2])
    if release < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise EngineError(
            f"vLLM {version} is older than {oldest}: one request could end it for everybody; "
            f"take {PINNED}"
        )
    return release


def _json(value: dict[str, str]) -> str:
    return json.dumps(value, separators=(",", ":"))
