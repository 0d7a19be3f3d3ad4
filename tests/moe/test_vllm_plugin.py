"""What vLLM's entry point does in a process where vLLM is a handful of fakes."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from serving.moe import vllm_plugin
from serving.moe.spec import GPT_OSS_20B
from serving.moe.switches import LOG, Switches, say_once
from serving.moe.tables import Entry, Machine, Table, TableError, digest
from serving.moe.vllm_plugin import ChooseByTable, plans_here, register
from tests.moe.test_ogs_flags import ROUTING, Flags, stock

HERE = Machine("NVIDIA H200", 90, "3.6.0", "aaaa", "bbbb")
TABLE = Table(
    "h200.json", HERE, GPT_OSS_20B, True, (Entry(64, {"w13": {}, "w2": {"maxnreg": 128}}),), ()
)
TUNED = Flags(target_kernel_kwargs={"maxnreg": 128})


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    say_once.cache_clear()
    for name in ("FOOTNOTE_MOE", "FOOTNOTE_MOE_TABLES"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def matmul_ogs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """Import as if this were a vLLM that we know; return the module that is patched."""
    monkeypatch.setattr(vllm_plugin, "KNOWN_KERNELS", digest(tmp_path))
    return fake_vllm(monkeypatch, tmp_path)


def fake_vllm(monkeypatch: pytest.MonkeyPatch, folder: Path | None) -> ModuleType:
    kernels, inner = ModuleType("triton_kernels"), ModuleType("triton_kernels.matmul_ogs")
    kernels.__path__ = [str(folder)]
    kernels.matmul_ogs = inner  # type: ignore[attr-defined]
    inner.make_opt_flags = stock  # type: ignore[attr-defined]
    imports = ModuleType("vllm.utils.import_utils")
    imports.has_triton_kernels = lambda: folder is not None  # type: ignore[attr-defined]
    modules = [ModuleType("vllm"), ModuleType("vllm.utils"), imports, kernels, inner]
    for module in modules:
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return inner


def ask(choose: Callable[..., Any], m: int = 64) -> Any:
    return choose(None, None, None, None, m, 2880, 2880, ROUTING, False, False, None)


def chooser(tables: list[Table], machine: Machine = HERE) -> ChooseByTable:
    return ChooseByTable(stock, lambda: machine, lambda: tables)


def test_a_known_vllm_is_patched_once_and_asks_no_device_yet(matmul_ogs: ModuleType) -> None:
    register()
    patched = matmul_ogs.make_opt_flags
    assert isinstance(patched, ChooseByTable)
    register()
    assert matmul_ogs.make_opt_flags is patched


@pytest.mark.parametrize(
    ("mode", "told"),
    [
        pytest.param("off", "FOOTNOTE_MOE is off", id="off"),
        pytest.param("Kernels", "FOOTNOTE_MOE is Kernels, known are auto, kernels, off", id="typo"),
    ],
)
def test_a_switch_keeps_vllm_as_it_is_and_one_line_names_it(
    matmul_ogs: ModuleType, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
    mode: str, told: str,
) -> None:  # fmt: skip
    monkeypatch.setenv("FOOTNOTE_MOE", mode)
    with caplog.at_level(logging.INFO):
        register()
        register()
    assert matmul_ogs.make_opt_flags is stock
    (line,) = [record.getMessage() for record in caplog.records]
    assert line == f"MoE kernels as vLLM has them: {told}"


def test_kernels_with_another_digest_are_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    matmul_ogs = fake_vllm(monkeypatch, tmp_path)
    with caplog.at_level(logging.INFO):
        register()
    assert matmul_ogs.make_opt_flags is stock
    assert "triton_kernels with the digest" in caplog.text


def test_a_vllm_without_triton_kernels_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fake_vllm(monkeypatch, None)
    with caplog.at_level(logging.INFO):
        register()
    assert "no triton_kernels" in caplog.text


def test_another_vllm_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "vllm", ModuleType("vllm"))
    with caplog.at_level(logging.INFO):
        register()
    assert "this vLLM is unknown" in caplog.text


def test_a_fitting_table_is_used_and_named_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    choose = chooser([TABLE])
    with caplog.at_level(logging.INFO):
        assert [ask(choose), ask(choose)] == [TUNED, TUNED]
    assert [record.getMessage() for record in caplog.records] == [
        "MoE flags from h200.json on NVIDIA H200"
    ]


def test_without_a_fitting_table_stock_answers_and_one_line_says_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    choose = chooser([TABLE], Machine("NVIDIA A100", 80, "3.6.0", "aaaa", "bbbb"))
    with caplog.at_level(logging.INFO):
        assert [ask(choose), ask(choose)] == [Flags(), Flags()]
    (line,) = [record.getMessage() for record in caplog.records]
    assert "device is NVIDIA A100, the table is for NVIDIA H200" in line


def test_a_broken_table_does_not_stop_vllm(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> list[Table]:
        raise TableError("site.json: schema 7")

    with caplog.at_level(logging.INFO):
        assert ask(ChooseByTable(stock, lambda: HERE, broken)) == Flags()
    assert "site.json: schema 7" in caplog.text


def test_a_table_with_flags_that_cannot_be_set_is_refused_and_another_used(
    caplog: pytest.LogCaptureFixture,
) -> None:
    wrong = replace(TABLE, name="site.json", flags=(Entry(64, {"w2": {}}),))
    with caplog.at_level(logging.INFO):
        assert ask(chooser([wrong])) == Flags()
        assert ask(chooser([wrong, TABLE])) == TUNED
    assert [record.getMessage() for record in caplog.records] == [
        "MoE kernels as vLLM has them: no table; site.json: w13 for 64 tokens has no flags",
        "MoE flags from h200.json on NVIDIA H200",
    ]


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(RuntimeError("no NVIDIA driver"), id="no-driver"),
        pytest.param(AssertionError("Torch not compiled with CUDA enabled"), id="torch-for-cpus"),
        pytest.param(ImportError("no module named triton"), id="no-triton"),
        pytest.param(PermissionError("/tables"), id="no-right-to-read"),
    ],
)
def test_a_machine_that_cannot_be_asked_does_not_stop_vllm(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    def machine() -> Machine:
        raise error

    monkeypatch.setattr(vllm_plugin, "this_machine", machine)
    with caplog.at_level(logging.INFO):
        assert ask(ChooseByTable(stock, machine, lambda: [TABLE])) == Flags()
    assert str(error) in caplog.text
    assert plans_here(Switches("kernels", None), GPT_OSS_20B) == ((), str(error))


def test_the_line_goes_where_vllm_shows_it_as_from_the_file_that_decided(
    matmul_ogs: ModuleType, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("FOOTNOTE_MOE", "off")
    with caplog.at_level(logging.INFO):
        register()
    assert LOG.name.startswith("vllm.")
    assert [record.filename for record in caplog.records] == ["vllm_plugin.py"]
