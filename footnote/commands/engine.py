"""`footnote engine`: how the model server is started, what it needs, and its kernels."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from footnote.commands.common import AsJson, as_text, examples, say
from knowledge.errors import ConfigurationError
from knowledge.settings import ROOT, Settings, load_settings
from serving.engine.container import in_container
from serving.engine.launch import PINNED, Engine, Launch, launch, refuse_hub_name
from serving.engine.profiles import EngineError, choose
from serving.engine.sums import Tell, verify, write
from serving.engine.weights import Finding, examine

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
IN_CONTAINER = "docker compose run --rm --entrypoint python3 vllm -m serving.moe.tune"


@app.command(
    epilog=examples(
        "footnote engine command",
        "footnote engine command --compose",
        "FOOTNOTE_MODEL_NAME=gpt-oss-120b FOOTNOTE_ENGINE_PROFILE=h200 footnote engine command",
    )
)
def command(
    compose: Annotated[
        bool, typer.Option("--compose", help="As the container of compose.yaml runs it.")
    ] = False,
    vllm: Annotated[str, typer.Option(help="The version of vLLM that will run it.")] = PINNED,
    as_json: AsJson = False,
) -> None:
    """Print the command that serves the model with vLLM, with its environment.

    It follows FOOTNOTE_MODEL_NAME, FOOTNOTE_WEIGHTS_DIR, FOOTNOTE_ENGINE_PROFILE (16gb, 80gb,
    h200), FOOTNOTE_GPUS and FOOTNOTE_MOE_BACKEND. vLLM then answers four routes and no other, with
    the key of FOOTNOTE_MODEL_API_KEY, which is not printed. Nothing is started, and no file is
    looked at: `footnote engine check` does that.
    """
    settings = load_settings()
    try:
        plan = launch(_in_compose(settings, vllm) if compose else _here(settings, vllm))
    except EngineError as error:
        raise ConfigurationError(str(error)) from error
    print(as_text(asdict(plan)) if as_json else _as_shell(plan))


def _in_compose(settings: Settings, vllm: str) -> Engine:
    """Return what compose.yaml hands to its container from the same settings."""
    names = ("model_name", "engine_profile", "gpus", "moe_backend", "moe", "moe_tables")
    variables = {f"FOOTNOTE_{name.upper()}": str(getattr(settings, name)) for name in names}
    return in_container(variables, vllm)


def _here(settings: Settings, vllm: str) -> Engine:
    return Engine(
        model=settings.model_name,
        weights=str(settings.weights_dir / settings.model_name),
        cache=str(settings.data_dir.absolute() / "engine"),
        path=str(ROOT),
        profile=settings.engine_profile,
        gpus=settings.gpus,
        backend=settings.moe_backend,
        moe=settings.moe,
        tables=settings.moe_tables,
        vllm=vllm,
    )


def _as_shell(plan: Launch) -> str:
    """Return lines for a shell: what must not be set, what must be, the command and its flags."""
    unset = " ".join(f"-u {name}" for name in plan.refused)
    settings = [f"{name}={shlex.quote(value)}" for name, value in plan.environment.items()]
    key = 'VLLM_API_KEY="${FOOTNOTE_MODEL_API_KEY:?}"'
    flags: list[str] = []
    for word in plan.command[3:]:
        if word.startswith("--"):
            flags.append(word)
        else:
            flags[-1] += f" {shlex.quote(word)}"
    lines = [f"env {unset}", *settings, key, shlex.join(plan.command[:3]), *flags]
    return " \\\n  ".join(lines)


@app.command(
    epilog=examples(
        "footnote engine check",
        "footnote engine check /srv/models/gpt-oss-120b",
        "footnote engine check --write",
    )
)
def check(
    folder: Annotated[
        str, typer.Argument(help="The folder; unless named, FOOTNOTE_WEIGHTS_DIR/the model.")
    ] = "",
    model: Annotated[
        str, typer.Option(help="What it must hold; unless named, what its name says.")
    ] = "",
    make_list: Annotated[
        bool, typer.Option("--write", help="Make SHA256SUMS of what is there, if all is well.")
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave SHA256SUMS alone: milliseconds, not minutes.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Look at a folder of weights: that it is gpt-oss, whole, and safe to load.

    Settings, tokenizer and every shard's header are read; the shapes of all experts, the sizes of
    all files. If there is a list SHA256SUMS in the folder, every file is hashed and held against
    it. Formats that can run code are refused, and so are names at a hub: nothing is fetched.

    Exit code 0: all is well. 1: something is wrong. 2: there is nothing to look at.
    """
    settings = load_settings()
    try:
        place = _folder(folder or str(settings.weights_dir / settings.model_name))
        name = model or (place.name if folder else settings.model_name)
        choose(name)
        found = list(_findings(place, name, make_list=make_list, quick=quick))
    except (EngineError, OSError) as error:
        raise ConfigurationError(str(error)) from error
    bad = any(finding.state == "fail" for finding in found)
    if as_json:
        told = [asdict(finding) for finding in found]
        print(as_text({"folder": str(place), "model": name, "ok": not bad, "findings": told}))
    else:
        for finding in found:
            print(f"{finding.state:<5} {finding.part:<10} {finding.message}")
    raise typer.Exit(int(bad))


def _folder(given: str) -> Path:
    place = Path(given).expanduser()
    if place.is_dir():
        return place.absolute()
    if not place.is_absolute() and given.count("/") == 1:
        refuse_hub_name(given)
    raise ConfigurationError(f"there is no folder {place}; put the weights there, or name another")


def _findings(folder: Path, name: str, *, make_list: bool, quick: bool) -> Iterator[Finding]:
    found = list(examine(folder, name))
    yield from found
    if quick or (make_list and any(finding.state == "fail" for finding in found)):
        return
    if make_list:
        yield write(folder, _progress())
    else:
        yield from verify(folder, _progress())


def _progress() -> Tell:
    """Say how far hashing is, every five seconds."""
    said = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal said
        if time.monotonic() - said >= 5:
            said = time.monotonic()
            say(f"hashed {done / 1e9:.1f} of {total / 1e9:.1f} GB")

    return tell


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

    Needs vLLM, for whose kernels and Triton the table holds, and the GPU to itself: stop the server
    first. Without vLLM here, prints the command that tunes in its container. vLLM's plugin uses the
    table from its next start on, as long as device and versions stay what they are.
    """
    asked = ["--dry"] if dry else ["--model", model]
    needed = ("torch", "triton") if dry else ("torch", "triton", "vllm")
    if missing := [name for name in needed if find_spec(name) is None]:
        raise ConfigurationError(
            f"{' and '.join(missing)} is not installed here, but in vLLM's container (docs/moe.md):"
            f" {IN_CONTAINER} {shlex.join(asked)} --out /tables"
        )
    command = [sys.executable, "-m", "serving.moe.tune", *asked, "--out", str(out)]
    done = subprocess.run(command, check=False)  # noqa: S603 (a process of its own: no import)
    raise typer.Exit(done.returncode)
