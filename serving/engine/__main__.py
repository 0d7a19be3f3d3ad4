"""`python3 -m footnote_engine`: start vLLM in compose.yaml's container, or say why not."""

from __future__ import annotations

import os
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NoReturn

from .container import in_container
from .launch import Launch, launch
from .profiles import EngineError
from .weights import examine

NO_PLUGIN = (
    "FOOTNOTE_MOE=kernels does nothing here: the image is vLLM without our plugin (docs/moe.md)"
)


def main() -> NoReturn:
    """Look at the settings and the weights, then become vLLM."""
    here = dict(os.environ)  # noqa: TID251 (no file of the service is in that container)
    try:
        engine = in_container(here, _vllm())
        plan = launch(engine)
        _refuse(plan, here)
        _look(Path(engine.weights), engine.model)
    except (EngineError, OSError) as error:
        sys.exit(f"footnote: {error}")
    if engine.moe == "kernels" and not _installed("footnote-moe"):
        print(f"footnote: {NO_PLUGIN}", flush=True)  # noqa: T201
    print(f"footnote: profile {plan.profile.name}: {' '.join(plan.command)}", flush=True)  # noqa: T201
    os.execvpe(plan.command[0], plan.command, here | plan.environment)  # noqa: S606 (no shell)


def _vllm() -> str:
    if (found := _installed("vllm")) is None:
        raise EngineError("there is no vLLM in this image")
    return found


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _refuse(plan: Launch, variables: dict[str, str]) -> None:
    if not variables.get("VLLM_API_KEY"):
        raise EngineError("set FOOTNOTE_MODEL_API_KEY in .env: vLLM would answer without a key")
    for name in plan.refused:
        if variables.get(name, "") not in ("", "0"):
            raise EngineError(f"{name} is set, which opens what must stay closed; unset it")


def _look(folder: Path, model: str) -> None:
    if not folder.is_dir():
        raise EngineError(f"{folder} is not there: FOOTNOTE_WEIGHTS_DIR must hold a folder {model}")
    for finding in examine(folder, model):
        if finding.state == "fail":
            raise EngineError(f"{finding.part}: {finding.message}")


if __name__ == "__main__":
    main()
