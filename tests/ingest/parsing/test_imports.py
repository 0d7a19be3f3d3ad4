"""What the parsers bring with them: nothing heavy, nothing that calls home."""

from __future__ import annotations

import json
import subprocess
import sys

from knowledge.settings import ROOT, parser_environment

OURS = """
from ingest.parsing.formats import parse
from tests.ingest.samples import every_format
for name, data in every_format().items():
    assert [parsed.text for parsed in parse(data, name)]
"""
THEIRS = """
import contextlib, torch, urllib.request
with contextlib.suppress(OSError):
    urllib.request.urlopen("http://example.org")
"""
BARE = {
    name: value
    for name, value in parser_environment().items()
    if name in ("PATH", "HOME", "PYTHONPATH")
}


def test_neither_torch_nor_pandas_is_imported_and_nothing_calls_home() -> None:
    assert _imported_and_called(OURS, parser_environment()) == ([], 0)


def test_nothing_calls_home_even_without_the_parsers_environment() -> None:
    assert _imported_and_called(OURS, BARE) == ([], 0)


def test_the_control_imports_torch_and_calls_out() -> None:
    heavy, calls = _imported_and_called(THEIRS, BARE)
    assert "torch" in heavy
    assert calls > 0


def _imported_and_called(reading: str, environment: dict[str, str]) -> tuple[list[str], int]:
    """Run `reading` in a fresh process; return its heavy imports and attempts to connect."""
    script = f"""
import json, sys
attempts = []
def hook(event, arguments):
    if event == "socket.getaddrinfo" or (event == "socket.connect" and arguments[0].family != 1):
        attempts.append(event)
        raise OSError("refused")
sys.addaudithook(hook)
{reading}
heavy = {{"torch", "pandas", "pyarrow", "spacy", "transformers"}} & set(sys.modules)
print(json.dumps([sorted(heavy), len(attempts)]))
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    heavy, calls = json.loads(done.stdout.strip().splitlines()[-1])
    return heavy, calls
