"""Search while files are taken in that are huge in what there is to cut and to weigh.

`make bench-giants` prints how long searches of one client take when the service is idle and while
it takes in each of some giants.
"""

from __future__ import annotations

import time
from pathlib import Path

import httpx2
import pytest

from tests.hostile.corrupt import Bad
from tests.hostile.handmade import handmade
from tests.hostile.hurl import Report, hurl, searching
from tests.service import ROOT, serving

NAMES = ("parts.eml", "joined.txt", "stops.txt", "numbers.txt")
"""A message of 100,000 parts, and up to four million tokens in one line."""
PATIENCE = 180.0


@pytest.mark.hostile
@pytest.mark.timeout(1800)
def test_searches_stay_quick_while_giants_are_cut(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = {bad.name: bad for bad in handmade(heavy=False) if bad.name in NAMES}
    over = Report()
    with serving(tmp_path / "data", wait=300) as url:

        def connect() -> httpx2.Client:
            return httpx2.Client(base_url=url, timeout=60)

        examples = [
            Bad(path.name, path.read_bytes(), "good") for path in (ROOT / "examples").iterdir()
        ]
        hurl(connect, examples, Report(), at_once=1, patience=PATIENCE)
        for name in NAMES:
            each = Report()
            with searching(connect, each.quiet, pause=0.02):
                time.sleep(8)
            with searching(connect, each.busy, pause=0.02):
                hurl(connect, [made[name]], each, at_once=1, patience=PATIENCE)
            over.quiet += each.quiet
            over.busy += each.busy
            over.violations += each.violations
            with capsys.disabled():
                print(f"\n{name}: {each}", flush=True)
    with capsys.disabled():
        print(f"\nall: {over}\n  p99 allowed {over.p99_allowed():.0f} ms", flush=True)
    assert over.violations == []
    assert over.p99_during() <= over.p99_allowed()
