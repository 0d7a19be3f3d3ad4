"""PDFium's C functions without the conversion of arguments, which costs more than most of them."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

POINTER, INT = ctypes.c_void_p, ctypes.c_int


def direct(function: object, result: type, *arguments: type) -> Callable[..., Any]:
    """Return `function` of `pypdfium2.raw`; pointers are handed over as plain addresses."""
    return ctypes.CFUNCTYPE(result, *arguments)(ctypes.cast(function, POINTER).value or 0)  # type: ignore[arg-type]


def address(handle: object) -> int:
    """Return the address that a handle of `pypdfium2.raw` holds."""
    return ctypes.cast(handle, POINTER).value or 0  # type: ignore[arg-type]
