"""What vLLM loads by the entry point `vllm.general_plugins`; vLLM is known in this file only.

`register` runs in every process of vLLM, before there is a device, and more than once. So it only
wraps the function that chooses launch flags; tables are looked at when that is first called, in the
process that has the GPU. Whatever is unknown leaves vLLM as it is, and one line says so.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from serving.moe import ogs_flags
from serving.moe.spec import MoESpec
from serving.moe.switches import Switches, read_switches, say_once
from serving.moe.tables import (
    COMMITTED,
    FOR_FLAGS,
    Entry,
    Machine,
    Table,
    TableError,
    digest,
    find_plans,
    own_digest,
    read_tables,
    why_not,
)

KNOWN_KERNELS = "5a89e86b72fb38c3"
"""The digest of triton_kernels 3.5.1 as vLLM 0.26, 0.32 and 0.33 bundle it, byte by byte alike."""


def register() -> None:
    """Wrap vLLM's choice of flags, unless switched off or unknown."""
    switches = read_switches()
    reason = switches.why_off or _install(switches)
    if reason is None and switches.mode == "kernels":
        from serving.moe.vllm_experts import register_experts

        reason = register_experts(lambda spec: plans_here(switches, spec))
    if reason:
        say_once(f"MoE kernels as vLLM has them: {reason}")


CANNOT_TELL = (TableError, OSError, ImportError, RuntimeError, AssertionError)
"""What reading tables and asking the device raise; the last two are torch's without a GPU."""


class ChooseByTable:
    """Stands in for `make_opt_flags`; finds its tables when it is first called."""

    def __init__(
        self,
        stock: Callable[..., Any],
        machine: Callable[[], Machine],
        tables: Callable[[], list[Table]],
    ) -> None:
        self._stock, self._machine, self._tables = stock, machine, tables
        self._choose: Callable[..., Any] | None = None

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Return flags for one matrix product."""
        if self._choose is None:
            self._choose = self._find()
        return self._choose(*args, **named)

    def _find(self) -> Callable[..., Any]:
        choose, used, refused = self._stock, [], ["no table"]
        try:
            machine = self._machine()
            for table in self._tables():
                reason = why_not(table, machine, FOR_FLAGS) or ogs_flags.why_wrong(table.flags)
                if reason is None and table.flags:
                    choose = ogs_flags.wrap(choose, table.spec, table.flags)
                    used.append(table.name)
                elif reason:
                    refused.append(f"{table.name}: {reason}")
        except CANNOT_TELL as error:
            choose, used, refused = self._stock, [], [str(error)]
        if used:
            say_once(f"MoE flags from {', '.join(used)} on {machine.device}")
        else:
            say_once(f"MoE kernels as vLLM has them: {'; '.join(refused[-3:])}")
        return choose


def _install(switches: Switches) -> str | None:
    """Put our function in place; return why not."""
    try:
        from vllm.utils.import_utils import has_triton_kernels
    except ImportError as error:
        return f"this vLLM is unknown ({error})"
    if not has_triton_kernels():  # also makes vLLM's own copy importable by its name
        return "no triton_kernels"
    import triton_kernels

    if (found := digest(Path(triton_kernels.__path__[0]))) != KNOWN_KERNELS:
        return f"triton_kernels with the digest {found}, known is {KNOWN_KERNELS}"
    from triton_kernels import matmul_ogs

    stock = matmul_ogs.make_opt_flags
    if not isinstance(stock, ChooseByTable):
        matmul_ogs.make_opt_flags = ChooseByTable(stock, this_machine, lambda: _tables(switches))
    return None


def _tables(switches: Switches) -> list[Table]:
    return read_tables(COMMITTED, *([switches.tables] if switches.tables else []))


def plans_here(switches: Switches, spec: MoESpec) -> tuple[tuple[Entry, ...], str]:
    """Return plans for a model on this machine, and where they are from or why there are none."""
    try:
        return find_plans(_tables(switches), this_machine(), spec)
    except CANNOT_TELL as error:
        return (), str(error)


def name_bundled_kernels() -> bool:
    """Make vLLM's copy of triton_kernels importable by its name; tell whether there is one."""
    if find_spec("vllm") is not None:
        from vllm.utils.import_utils import has_triton_kernels

        return bool(has_triton_kernels())
    return find_spec("triton_kernels") is not None


def this_machine() -> Machine:
    """Ask the device and the sources that will run; needs a GPU."""
    import torch
    import triton

    folder = None
    if name_bundled_kernels():
        import triton_kernels

        folder = Path(triton_kernels.__path__[0])
    major, minor = torch.cuda.get_device_capability()
    return Machine(
        device=torch.cuda.get_device_name(),
        sm=10 * major + minor,
        triton=triton.__version__,
        triton_kernels=digest(folder) if folder else "",
        kernels=own_digest(),
    )
