"""What compose.yaml's container is told, and where things lie in it."""

from __future__ import annotations

from collections.abc import Mapping

from .launch import Engine
from .profiles import EngineError

NAME = "footnote_engine"
"""What this folder is called there."""
WEIGHTS = "/weights"


def in_container(variables: Mapping[str, str], vllm: str) -> Engine:
    """Return the engine of the container's variables; raises `EngineError` for a bad one."""
    model = variables.get("FOOTNOTE_MODEL_NAME", "")
    gpus = variables.get("FOOTNOTE_GPUS", "")
    if not gpus.isdecimal() or int(gpus) < 1:
        raise EngineError(f"FOOTNOTE_GPUS is {gpus!r}, and must be a number from 1 on")
    return Engine(
        model=model,
        weights=f"{WEIGHTS}/{model}",
        cache="/cache",
        gate=f"{NAME}.gate.Gate",
        path="/opt/engine",
        profile=variables.get("FOOTNOTE_ENGINE_PROFILE", ""),
        gpus=int(gpus),
        host="0.0.0.0",  # noqa: S104 (the network `llm` has the api in it, and nobody else)
        backend=variables.get("FOOTNOTE_MOE_BACKEND", "") or "auto",
        moe=variables.get("FOOTNOTE_MOE", "") or "auto",
        tables=variables.get("FOOTNOTE_MOE_TABLES", ""),
        vllm=vllm,
    )
