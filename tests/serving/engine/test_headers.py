from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from serving.engine.headers import LONGEST, Damaged, Tensor, read_header
from tests.serving.engine.folder import put_shard


def raw(path: Path, header: Any, data: int = 0) -> Path:  # noqa: ANN401
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(data))
    return path


def test_a_header_tells_types_and_shapes(tmp_path: Path) -> None:
    put_shard(tmp_path / "a", {"x": ("U8", (3, 5)), "y": ("BF16", (2,)), "z": ("F32", ())})
    assert read_header(tmp_path / "a") == {
        "x": Tensor("U8", (3, 5)), "y": Tensor("BF16", (2,)), "z": Tensor("F32", ()),
    }  # fmt: skip


def test_it_reads_what_the_library_writes(tmp_path: Path) -> None:
    tensors: dict[str, Any] = {"a": np.zeros((3, 4), np.uint8), "b": np.ones(5, np.float16)}
    save_file(tensors, tmp_path / "a", metadata={"format": "pt"})
    assert read_header(tmp_path / "a") == {"a": Tensor("U8", (3, 4)), "b": Tensor("F16", (5,))}


@pytest.mark.parametrize("by", [-1, 1])
def test_a_file_cut_short_or_grown_is_noticed(tmp_path: Path, by: int) -> None:
    put_shard(tmp_path / "a", {"x": ("U8", (100,))})
    with (tmp_path / "a").open("r+b") as file:
        file.truncate((tmp_path / "a").stat().st_size + by)
    with pytest.raises(Damaged, match="its header tells of"):
        read_header(tmp_path / "a")


X = {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}


@pytest.mark.parametrize(
    ("header", "data"),
    [
        pytest.param(b"{", 0, id="not-json"),
        pytest.param([], 0, id="no-object"),
        pytest.param({"x": 1}, 0, id="no-entry"),
        pytest.param({"x": {**X, "dtype": "F128"}}, 4, id="unknown-type"),
        pytest.param({"x": {**X, "shape": [5]}}, 4, id="wrong-length"),
        pytest.param({"x": {**X, "shape": None}}, 4, id="no-shape"),
        pytest.param({"x": {**X, "data_offsets": [4, 8]}}, 8, id="hole"),
        pytest.param({"x": X, "y": X}, 8, id="overlap"),
        pytest.param(b"[" * 100_000, 0, id="deep"),
        pytest.param({"x": {**X, "data_offsets": [0, float("inf")]}}, 4, id="endless"),
        pytest.param({"x": {**X, "dtype": []}}, 4, id="type-is-a-list"),
    ],
)
def test_a_header_that_lies_is_refused(tmp_path: Path, header: object, data: int) -> None:
    with pytest.raises(Damaged):
        read_header(raw(tmp_path / "a", header, data))
    assert read_header(raw(tmp_path / "b", {"x": X}, 4))  # the control


@pytest.mark.parametrize("length", [0, 7, 8, LONGEST + 1, 2**63])
def test_a_header_longer_than_its_file_is_not_read(tmp_path: Path, length: int) -> None:
    (tmp_path / "a").write_bytes(length.to_bytes(8, "little")[: min(length, 8)])
    with pytest.raises(Damaged):
        read_header(tmp_path / "a")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
ENTRIES = st.fixed_dictionaries(
    {"dtype": VALUES | st.just("U8"), "shape": VALUES | st.just([4]), "data_offsets": VALUES}
)


@settings(max_examples=50)
@given(header=st.binary(max_size=50) | st.dictionaries(st.text(max_size=3), ENTRIES | VALUES))
def test_whatever_a_header_holds_it_is_read_or_refused(
    header: object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    try:
        read_header(raw(tmp_path_factory.getbasetemp() / "any", header, 4))
    except Damaged:
        return
