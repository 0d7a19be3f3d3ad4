"""A reader as LlamaIndex has them, for tests: its documents come from a file."""

from __future__ import annotations

import json
from pathlib import Path

from llama_index.core.readers.base import BaseReader
from llama_index.core.schema import Document


class LinesReader(BaseReader):
    """Loads one document a line."""

    def __init__(self, path: str, token: str = "") -> None:
        self._path = Path(path)

    def load_data(self, space: str = "HR") -> list[Document]:
        print("readers may print")
        lines = map(json.loads, self._path.read_text().splitlines())
        return [
            Document(text=line["text"], metadata={"space": space, **line["metadata"]})
            for line in lines
        ]
