from __future__ import annotations

from tests.quality.sizing import Measured, table


def test_rows_above_what_was_run_are_marked_and_promise_no_time() -> None:
    head, _, first, *above = table(Measured(100_000, 8000.0, 900.0, 40.0)).splitlines()
    assert "chunks" in head
    assert first == "| 100,000 | 0.8 GB | 0.2 GB / 0.1 GB / 0.0 GB | 1 | 40 ms |"
    assert all("(extrapolated)" in row and "not measured" in row for row in above)
    assert above[-1].startswith("| 100,000,000 (extrapolated) | 800.0 GB |")
