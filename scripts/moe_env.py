"""Build `.venv-moe`: Triton beside a CPU build of PyTorch, and Python files of vLLM and Humming.

`make test-moe` runs this first; a second run finds everything in place. Needs Linux on x86-64 and
about 2 GB of disk. No GPU: Triton brings the assembler and disassembler for NVIDIA's machine code.
Of vLLM's wheels (300 MB each) only the few megabytes of Python that the tests read are
fetched, by range requests. `python scripts/moe_env.py sources` fetches these alone.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import httpx2

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv-moe"

PACKAGES = [
    "triton==3.6.0",  # what vLLM 0.26 runs on
    "numpy<2.4",  # with a newer one Triton's interpreter breaks
    *("filelock", "fsspec", "jinja2", "networkx", "sympy<1.15", "typing-extensions"),  # for torch
    *("hypothesis>=6.150,<7", "pytest>=9,<10", "pytest-timeout>=2.3,<3"),
    "pydantic-settings>=2.7,<3",  # what tests/conftest.py imports
]
TORCH = "torch>=2.6,<2.14"
SECOND = "3.8.0"
"""The Triton of vLLM 0.33, which compose.yaml names (torch 2.14). Compiles only."""

VLLMS = ("0.26.0", "0.32.0", "0.33.0")
HUMMINGS = ("0.1.10", "0.1.19")
"""What vLLM 0.26 and 0.33 ask for."""
WANTED = re.compile(
    r"vllm/third_party/triton_kernels/.*\.py"
    r"|vllm/model_executor/layers/fused_moe/(?!configs/).*\.py"
    r"|vllm/model_executor/layers/quantization/(__init__|mxfp4|utils/marlin_utils_fp4)\.py"
    r"|vllm/model_executor/(custom_op|models/gpt_oss|models/config)\.py"
    r"|vllm/(plugins/__init__|utils/import_utils|config/kernel|envs|_version)\.py"
    r"|vllm/(engine/arg_utils|scalar_type|multimodal/media/connector|entrypoints/.*)\.py"
    r"|vllm-[\d.]+\.dist-info/METADATA"
    r"|humming/.*\.py"
)


def main() -> None:
    """Build what is missing."""
    if sys.argv[1:] != ["sources"]:
        make_environment()
        add_second_triton()
    for version in VLLMS:
        fetch_sources("vllm", version)
    for version in HUMMINGS:
        fetch_sources("humming-kernels", version)
    print(f"footnote: {VENV.name} is ready", flush=True)


def make_environment() -> None:
    """Install Triton and torch; a CPU wheel of torch must be where pip finds one."""
    stamp = VENV / ".ready"
    if stamp.exists() and stamp.read_text() == "\n".join(PACKAGES):
        return
    print("footnote: installing Triton: one to two minutes", flush=True)
    venv.create(VENV, with_pip=True)
    pip_install(*PACKAGES)
    if pip_install("--no-index", "--no-deps", TORCH, check=False):
        pip_install("--index-url", "https://download.pytorch.org/whl/cpu", "--no-deps", TORCH)
    stamp.write_text("\n".join(PACKAGES))


def add_second_triton() -> None:
    """Lay another Triton beside the first; who wants it puts its folder on the path."""
    folder = VENV / f"triton-{SECOND}"
    if not folder.exists():
        print(f"footnote: installing Triton {SECOND}", flush=True)
        pip_install("--no-deps", "--target", str(folder), f"triton=={SECOND}")


def pip_install(*arguments: str, check: bool = True) -> int:
    """Install; a failure ends the build when `check` is set."""
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    command = [*pip, "install", "--no-compile", *arguments]
    return subprocess.run(command, check=check, stdout=sys.stderr).returncode


def fetch_sources(package: str, version: str) -> None:
    """Take the wanted members out of one wheel, without the rest of it."""
    folder = VENV / package / version
    stamp = folder / ".ready"
    if stamp.exists() and stamp.read_text() == WANTED.pattern:
        return
    print(f"footnote: fetching Python files of {package} {version}", flush=True)
    remote = io.BufferedReader(RemoteFile(wheel_address(package, version)), 1 << 16)
    with zipfile.ZipFile(remote) as wheel:
        for name in sorted(wheel.namelist()):
            if WANTED.fullmatch(name):
                wheel.extract(name, folder)
    stamp.write_text(WANTED.pattern)


def wheel_address(package: str, version: str) -> str:
    """Ask pip, and so the index that it is set to, where the wheel for this machine lies."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    only = ["--dry-run", "--ignore-installed", "--no-deps", "--only-binary", ":all:"]
    command = [*pip, *only, "--report", "-", f"{package}=={version}"]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    return str(json.loads(told)["install"][0]["download_info"]["url"])


class RemoteFile(io.RawIOBase):
    """A file on a server that answers range requests."""

    def __init__(self, address: str) -> None:
        self._client, self._address, self._place = httpx2.Client(timeout=60), address, 0
        head = self._client.head(address).raise_for_status()
        self._size = int(head.headers["Content-Length"])

    def readable(self) -> bool:
        """Say yes: that is what it is for."""
        return True

    def seekable(self) -> bool:
        """Say yes: that is what range requests are for."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move without asking the server."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = start + offset
        return self._place

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        """Fill the buffer from here on; 0 at the end."""
        last = min(self._place + len(buffer), self._size) - 1
        if last < self._place:
            return 0
        span = {"Range": f"bytes={self._place}-{last}"}
        data = self._client.get(self._address, headers=span).raise_for_status().content
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)


if __name__ == "__main__":
    main()
