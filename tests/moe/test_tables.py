"""A table is used on its own machine with its own sources, and nowhere else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from serving.moe.spec import BUCKETS
from serving.moe.tables import (
    COMMITTED,
    FOR_FLAGS,
    FOR_PLANS,
    Entry,
    Machine,
    TableError,
    digest,
    entry_for,
    own_digest,
    read_table,
    read_tables,
    why_not,
)

HERE = Machine("NVIDIA H200", 90, "3.6.0", "aaaa", "bbbb")


def told(**changes: Any) -> dict[str, Any]:
    return {
        "schema": 1, "device": "NVIDIA H200", "sm": 90, "triton": "3.6.0",
        "triton_kernels": "aaaa", "kernels": "bbbb", "measured": True,
        "model": "gpt-oss-20b", "E": 32, "H": 2880, "I": 2880, "layers": 24, "topk": 4,
        "flags": [{"m_max": 8, "params": {"w13": {}, "w2": {}}}],
        "plans": [{"m_max": 8, "kernel": "decode_sm90", "params": {"bm": 8}}],
        **changes,
    }  # fmt: skip


def write(folder: Path, name: str = "t.json", **changes: Any) -> Path:
    path = folder / name
    path.write_text(json.dumps(told(**changes)))
    return path


def test_a_table_fits_the_machine_it_was_made_on(tmp_path: Path) -> None:
    table = read_table(write(tmp_path))
    assert why_not(table, HERE, FOR_FLAGS) is None
    assert why_not(table, HERE, FOR_PLANS) is None
    assert table.plans == (Entry(8, {"bm": 8}, "decode_sm90"),)


@pytest.mark.parametrize(
    ("field", "value", "flags", "plans"),
    [
        pytest.param("device", "NVIDIA H100", False, False, id="device"),
        pytest.param("sm", 100, False, False, id="capability"),
        pytest.param("triton", "3.8.0", False, False, id="triton"),
        pytest.param("triton_kernels", "", False, True, id="vllm-s-kernel"),
        pytest.param("kernels", "cccc", True, False, id="our-kernels"),
    ],
)
def test_another_machine_or_source_is_refused_with_a_reason(
    tmp_path: Path, field: str, value: Any, flags: bool, plans: bool
) -> None:
    table, there = read_table(write(tmp_path)), replace(HERE, **{field: value})
    for needs, fits in ((FOR_FLAGS, flags), (FOR_PLANS, plans)):
        reason = why_not(table, there, needs)
        assert (reason is None) == fits
        assert fits or field in str(reason)


def test_what_was_not_measured_is_not_used(tmp_path: Path) -> None:
    for measured in (False, "no"):
        table = read_table(write(tmp_path, measured=measured))
        assert "not a measurement" in str(why_not(table, HERE, FOR_PLANS))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"schema": 2}, id="schema"),
        pytest.param({"flags": [{"m_max": 8}]}, id="entry"),
        pytest.param(
            {"flags": [{"m_max": 8, "params": {}}, {"m_max": 8, "params": {}}]}, id="buckets"
        ),
        pytest.param({"E": "many", "flags": 3}, id="kind"),
        pytest.param({"plans": [{"m_max": "8", "params": {}}]}, id="size-in-words"),
        pytest.param({"plans": [{"m_max": 8, "params": [8]}]}, id="numbers-without-names"),
        pytest.param({"plans": [{"m_max": 8, "params": {"bm": "8"}}]}, id="number-in-words"),
        pytest.param({"plans": [{"m_max": 8, "params": {"bm": 8.5}}]}, id="fraction"),
        pytest.param({"plans": [{"m_max": 8, "params": {"split": 0}}]}, id="zero"),
        pytest.param({"flags": [{"m_max": 8, "params": {"w13": None}}]}, id="nothing"),
        pytest.param({"plans": [{"m_max": 8, "kernel": ["a"], "params": {}}]}, id="two-kernels"),
    ],
)
def test_a_file_that_is_no_table_is_named(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(TableError, match=r"t\.json"):
        read_table(write(tmp_path, **changes))
    (tmp_path / "t.json").write_text("{")
    with pytest.raises(TableError, match=r"t\.json"):
        read_table(tmp_path / "t.json")


def test_the_smallest_bucket_that_holds_the_tokens_is_taken() -> None:
    entries = tuple(Entry(size, {}) for size in (1, 8, 64))
    assert [entry_for(entries, tokens).m_max for tokens in (0, 1, 2, 8, 9, 999)] == [  # type: ignore[union-attr]
        1, 1, 8, 8, 64, 64,
    ]  # fmt: skip
    assert entry_for((), 1) is None


def test_a_site_s_own_tables_come_first(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for folder in (ours, theirs):
        folder.mkdir()
        write(folder, f"{folder.name}.json")
    assert [table.name for table in read_tables(ours, theirs)] == ["theirs.json", "ours.json"]


def test_a_digest_changes_with_a_byte_and_with_a_name(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    before = digest(tmp_path)
    (tmp_path / "notes.txt").write_text("not a source")
    assert digest(tmp_path) == before
    (tmp_path / "a.py").write_text("x = 2\n")
    changed = digest(tmp_path)
    (tmp_path / "a.py").rename(tmp_path / "b.py")
    assert len({before, changed, digest(tmp_path)}) == 3


def test_what_is_committed_is_well_formed() -> None:
    assert len(own_digest()) == 16
    for table in read_tables(COMMITTED):
        for entries in (table.flags, table.plans):
            assert {entry.m_max for entry in entries} <= set(BUCKETS)
