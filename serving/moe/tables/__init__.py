"""Tuned plans by device and model, one JSON file each, and who may use which.

A table holds for a device, a version of Triton, the digest of vLLM's bundled `triton_kernels` and
the digest of our own kernels. It does not name vLLM's version: many versions bundle one and the
same kernels. Whatever does not match exactly is refused with a sentence that says why.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving.moe.spec import MoESpec

SCHEMA = 1
COMMITTED = Path(__file__).parent
OWN_KERNELS = Path(__file__).parent.parent / "kernels"


@dataclass(frozen=True, slots=True)
class Machine:
    """What a table must match: the device and the sources that would run on it."""

    device: str
    sm: int
    triton: str
    triton_kernels: str  # digest, empty where there are none
    kernels: str  # digest of ours


@dataclass(frozen=True, slots=True)
class Entry:
    """What to run for up to `m_max` tokens."""

    m_max: int
    params: Mapping[str, Any]
    kernel: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """One file. `flags` steer vLLM's kernel, `plans` choose ours."""

    name: str
    machine: Machine
    spec: MoESpec
    measured: bool
    flags: tuple[Entry, ...]
    plans: tuple[Entry, ...]


class TableError(ValueError):
    """The file is not a table that we understand; the message says where."""


def read_table(path: Path) -> Table:
    """Read and check one file."""
    try:
        told = json.loads(path.read_text())
        if told["schema"] != SCHEMA:
            raise TableError(f"{path.name}: schema {told['schema']}, known is {SCHEMA}")
        return _table(path.name, told)
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, TableError):
            raise
        raise TableError(f"{path.name}: {type(error).__name__} {error}") from error


def read_tables(*folders: Path) -> list[Table]:
    """Read all tables; those of a later folder come first, for a site's own win over ours."""
    return [
        read_table(path) for folder in reversed(folders) for path in sorted(folder.glob("*.json"))
    ]


FOR_FLAGS = ("device", "sm", "triton", "triton_kernels")
FOR_PLANS = ("device", "sm", "triton", "kernels")
"""What must be the same: vLLM's kernel for flags, ours for plans."""


def why_not(table: Table, machine: Machine, needs: tuple[str, ...]) -> str | None:
    """Say why a table may not be used here; None if it may."""
    if not table.measured:
        return "it is a starting point for the tuner, not a measurement"
    for name in needs:
        wanted, here = getattr(table.machine, name), getattr(machine, name)
        if wanted != here:
            return f"{name} is {here or 'missing'}, the table is for {wanted}"
    return None


def find_plans(
    tables: Iterable[Table], machine: Machine, spec: MoESpec
) -> tuple[tuple[Entry, ...], str]:
    """Return the plans of the first table that fits, and where they are from or why there are none.

    A table for other sizes is not a table for this model, whatever its name says.
    """
    return _find([(table, table.plans) for table in tables], machine, spec, FOR_PLANS)


def find_flags(
    tables: Iterable[Table], machine: Machine, spec: MoESpec
) -> tuple[tuple[Entry, ...], str]:
    """Return the same of flags."""
    return _find([(table, table.flags) for table in tables], machine, spec, FOR_FLAGS)


def _find(
    held: Iterable[tuple[Table, tuple[Entry, ...]]],
    machine: Machine,
    spec: MoESpec,
    needs: tuple[str, ...],
) -> tuple[tuple[Entry, ...], str]:
    refused = ["no table"]
    for table, entries in held:
        if reason := why_not(table, machine, needs):
            refused.append(f"{table.name}: {reason}")
        elif _sizes(table.spec) != _sizes(spec):
            refused.append(f"{table.name}: it is for {table.spec.name}")
        elif entries:
            return entries, table.name
    return (), "; ".join(refused[-3:])


def _sizes(spec: MoESpec) -> tuple[int, int, int, int]:
    return spec.experts, spec.hidden, spec.intermediate, spec.top_k


def entry_for(entries: tuple[Entry, ...], tokens: int) -> Entry | None:
    """Return the entry of the smallest bucket that holds the tokens; the last has no upper end."""
    fitting = (entry for entry in entries if tokens <= entry.m_max)
    return next(fitting, entries[-1] if entries else None)


def digest(folder: Path) -> str:
    """Return a digest of all Python files of a folder, their names included."""
    told = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        told.update(f"{path.relative_to(folder).as_posix()}\0".encode())
        told.update(hashlib.sha256(path.read_bytes()).digest())
    return told.hexdigest()[:16]


def own_digest() -> str:
    """Return the digest of the kernels beside this file."""
    return digest(OWN_KERNELS)


def _table(name: str, told: dict[str, Any]) -> Table:
    machine = Machine(**{field: told[field] for field in Machine.__slots__})
    spec = MoESpec(
        told["model"],
        experts=told["E"],
        hidden=told["H"],
        intermediate=told["I"],
        layers=told["layers"],
        top_k=told["topk"],
    )
    flags, plans = _entries(name, told["flags"]), _entries(name, told["plans"])
    return Table(name, machine, spec, told["measured"] is True, flags, plans)


def _entries(name: str, told: list[dict[str, Any]]) -> tuple[Entry, ...]:
    entries = tuple(_entry(each) for each in told)
    ends = [entry.m_max for entry in entries]
    if ends != sorted(set(ends)):
        raise TableError(f"{name}: buckets must rise, these do not: {ends}")
    return entries


def _entry(told: dict[str, Any]) -> Entry:
    m_max, params, kernel = told["m_max"], told["params"], told.get("kernel", "")
    named = isinstance(params, dict) and isinstance(kernel, str)
    if not (named and isinstance(m_max, int) and _counts(params)):
        raise TypeError(f"this is no entry: {told}")
    return Entry(m_max, params, kernel)


def _counts(params: Any) -> bool:
    """Tell whether parameters are numbers from 1 on, be it for each matrix or for both."""
    if isinstance(params, dict):
        return all(map(_counts, params.values()))
    return isinstance(params, int) and params > 0
