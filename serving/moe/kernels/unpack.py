"""The eleven integer operations that make eight float16 values of a word of eight codes, as PTX.

`layout.registers` says what they leave in the registers $0 to $3; $4 is the word. Text, not Triton:
it is the same for both Hopper kernels, and tests run it without either.
"""

from __future__ import annotations

REGISTERS = (
    "and.b32 {to}, w, 0x8E008E00;",
    "shl.b32 a, w, 3; and.b32 {to}, a, 0x8E008E00;",
    "shl.b32 a, w, 1; and.b32 a, a, 0x80008000; "
    "shl.b32 b, w, 6; and.b32 b, b, 0x0E000E00; or.b32 {to}, a, b;",
    "shl.b32 a, w, 2; and.b32 a, a, 0x80008000; "
    "shl.b32 b, w, 9; and.b32 b, b, 0x0E000E00; or.b32 {to}, a, b;",
)


def unpacking(*, scaled: bool = False) -> str:
    """Return the assembly; `scaled` multiplies by the scales of row g in $5 and row g + 8 in $6."""
    lines = [".reg .b32 w, a, b;", "mov.b32 w, $4;"]
    for number, register in enumerate(REGISTERS):
        lines.append(register.format(to="a" if scaled else f"${number}"))
        if scaled:
            lines.append(f"mul.f16x2 ${number}, a, ${5 + number % 2};")
    return "\n".join(["{", *lines, "}"])
