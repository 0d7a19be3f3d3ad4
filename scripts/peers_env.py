"""Build `.venv-peers`: what Footnote is measured beside, each in an environment of its own.

`python scripts/peers_env.py NAME...`; without names all of them. `make bench-pdf` and `make
bench-ingest` run this first; a second run finds everything in place. The readers of PDF files need
about 1.5 GB of disk and three minutes, the two that also embed as much each. Nothing of it is used
by Footnote, and none of it may come into `.venv`.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENVS = ROOT / ".venv-peers"

EMBEDDING = [
    "qdrant-client==1.20.0",
    "sentence-transformers==6.2.0",
    "torch==2.13.0",
    "transformers==5.23.0",
]
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
PEERS["unstructured-store"] = [
    "unstructured[csv,docx,md,pptx,xlsx]==0.27.32",
    "pandas==2.3.3",
    *(each for each in PEERS["unstructured"] if not each.startswith(("pandas", "unstructured="))),
    *EMBEDDING,
]
PEERS["llama-index"] = [
    "docx2txt==0.9",
    "llama-index-core==0.14.25",
    "llama-index-embeddings-huggingface==0.8.0",
    "llama-index-readers-file==0.7.0",
    "llama-index-vector-stores-qdrant==0.10.4",
    "openpyxl==3.1.5",
    "python-pptx==1.0.2",
    *EMBEDDING,
]
PEERS["rank-llama-index"] = [
    "llama-index-core==0.14.25",
    "llama-index-retrievers-bm25==0.8.0",
]
PEERS["rank-haystack"] = ["haystack-ai==3.4.1"]
PEERS["rank-langchain"] = [
    "langchain-classic==1.0.8",
    "langchain-community==0.4.2",
    "numpy==2.4.6",
    "rank-bm25==0.2.2",
]
PEERS["rank-txtai"] = ["txtai==9.14.0", "torch==2.13.0"]
_INFERENCE = ["unstructured-inference==1.6.14"]
ALONE = {"unstructured": _INFERENCE, "unstructured-store": _INFERENCE}
"""Without what they ask for: torchvision and timm, which the strategy `fast` does not use."""


def main(names: Sequence[str]) -> None:
    """Build what is missing."""
    for name in names or PEERS:
        packages = PEERS[name]
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
    main(sys.argv[1:])
