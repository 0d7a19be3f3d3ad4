"""Build `.venv-peers`: other readers of PDF files, each in an environment of its own.

`make bench-pdf` runs this first; a second run finds everything in place. Needs about 1.5 GB of disk
and three minutes. Nothing of it is used by Footnote, and none of it may come into `.venv`.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENVS = ROOT / ".venv-peers"

PEERS = {
    "pdfplumber": ["pdfplumber==0.11.10", "pdfminer.six==20260107"],
    "docling-parse": ["docling-parse==7.23.1", "docling-core==2.104.0"],
    "unstructured": [
        "unstructured==0.27.32",
        "huggingface-hub==2.4.0",
        "matplotlib==3.11.2",
        "onnx==1.23.2",
        "onnxruntime==1.32.0",
        "opencv-python-headless==5.0.0.93",
        "pandas==3.1.1",
        "pdf2image==1.17.0",
        "pdfminer.six==20260107",
        "pi-heif==1.4.0",
        "pikepdf==10.18.0",
        "pypdf==6.21.4",
        "scipy==1.17.1",
        "transformers==5.23.0",
        "unstructured.pytesseract==0.3.15",
    ],
}
ALONE = {"unstructured": ["unstructured-inference==1.6.14"]}
"""Without what they ask for: torchvision and timm, which the strategy `fast` does not use."""


def main() -> None:
    """Build what is missing."""
    for name, packages in PEERS.items():
        folder = VENVS / name
        stamp = folder / ".ready"
        wanted = "\n".join([*packages, *ALONE.get(name, [])])
        if stamp.exists() and stamp.read_text() == wanted:
            continue
        print(f"footnote: installing {name}", flush=True)
        venv.create(folder, clear=True, with_pip=True)
        install(folder, *packages)
        if name in ALONE:
            install(folder, "--no-deps", *ALONE[name])
        stamp.write_text(wanted)
    print(f"footnote: {VENVS.name} is ready", flush=True)


def install(folder: Path, *packages: str) -> None:
    """Install into one environment; a failure ends the build."""
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "install", "--no-compile", *packages], check=True, stdout=sys.stderr)


if __name__ == "__main__":
    main()
