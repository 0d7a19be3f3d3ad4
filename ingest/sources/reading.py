"""The child process in which a LlamaIndex reader runs: settings in, a JSON line per document out.

Only this file knows LlamaIndex. Standard input holds one JSON object: `module`, `name`, `settings`
of the reader, `load` for its `load_data`, and `out`, the file to write.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def main() -> None:
    """Read one request, run the reader, and write what it gives."""
    request = json.load(sys.stdin)
    sys.stdout = sys.stderr  # readers print
    reader = getattr(importlib.import_module(request["module"]), request["name"])
    documents = reader(**request["settings"]).load_data(**request["load"])
    with Path(request["out"]).open("w", encoding="utf-8", errors="replace") as out:
        for document in documents:
            out.write(json.dumps(_told(document)) + "\n")


def _told(document: Any) -> Mapping[str, Any]:  # noqa: ANN401 (a Document of LlamaIndex)
    metadata = {str(name): value for name, value in (document.metadata or {}).items()}
    plain = {
        name: value if isinstance(value, str) else json.dumps(value, default=str)
        for name, value in metadata.items()
        if value is not None
    }
    return {"id": str(document.id_), "text": document.text or "", "metadata": plain}


if __name__ == "__main__":
    main()
