"""`footnote engine`: the model server's kernels."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from footnote.commands.common import examples
from knowledge.errors import ConfigurationError

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def engine() -> None:
    """Keep `tune` a command of its own: a family of one would swallow its name."""


@app.command(
    epilog=examples(
        "footnote engine tune --out ./tables",
        "footnote engine tune --model gpt-oss-120b --out /tables",
    )
)
def tune(
    out: Annotated[Path, typer.Option(help="The folder for the table.")],
    model: Annotated[str, typer.Option(help="gpt-oss-20b or gpt-oss-120b.")] = "gpt-oss-20b",
    dry: Annotated[bool, typer.Option(help="Rehearse on a toy model, without a GPU.")] = False,
) -> None:
    """Find the fastest MoE kernels for this machine's GPU.

    Needs Triton and the GPU, and the GPU to itself: stop vLLM first. Writes a table that vLLM's
    plugin uses from its next start on, as long as device and versions stay what they are.
    """
    missing = [name for name in ("torch", "triton") if find_spec(name) is None]
    if missing:
        raise ConfigurationError(
            f"{' and '.join(missing)} is not installed here; docs/moe.md shows how to tune "
            "inside vLLM's container"
        )
    command = [sys.executable, "-m", "serving.moe.tune", "--out", str(out)]
    command += ["--dry"] if dry else ["--model", model]
    done = subprocess.run(command, check=False)  # noqa: S603 (a process of its own: no import)
    raise typer.Exit(done.returncode)
