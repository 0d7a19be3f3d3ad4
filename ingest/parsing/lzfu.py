"""Unpacks the compressed RTF of Outlook messages (MS-OXRTFCP). Pure."""

from __future__ import annotations

import struct

from knowledge.errors import TooLarge, Unreadable

MAX_UNPACKED = 50_000_000

_COMPRESSED, _PLAIN = 0x75465A4C, 0x414C454D
_HEADER = struct.Struct("<4I")
_WINDOW = 4096
_KNOWN = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript "
    rb"\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\colortbl\red0\green0\blue0"
    b"\r\n"
    rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)
"""What both sides begin with."""


def unpacked(data: bytes) -> bytes:
    """Return the RTF in `data`; nothing for nothing. Raises `Unreadable` or `TooLarge`."""
    if not data:
        return b""
    if len(data) < _HEADER.size:
        raise Unreadable("its text is damaged", code="damaged")
    _, size, kind, _ = _HEADER.unpack_from(data)
    if size > MAX_UNPACKED:
        raise TooLarge(f"its text unpacks to more than {MAX_UNPACKED:,} bytes", code="bomb")
    if kind == _PLAIN:
        return data[_HEADER.size : _HEADER.size + size]
    if kind != _COMPRESSED:
        raise Unreadable("its text is packed in an unknown way", code="damaged")
    return _expand(data[_HEADER.size :], size)


def _expand(data: bytes, size: int) -> bytes:
    """Follow flags: eight at a time say whether a byte comes, or a place to copy from."""
    out = bytearray(_KNOWN)
    end = len(_KNOWN) + size
    position = 0
    while position < len(data) and len(out) < end:
        flags = data[position]
        position += 1
        for bit in range(8):
            if not flags >> bit & 1:
                out += data[position : position + 1]
                position += 1
            else:
                pair = int.from_bytes(data[position : position + 2].ljust(2, b"\0"), "big")
                position += 2
                back = (len(out) - (pair >> 4)) % _WINDOW
                if not back:  # the end, by pointing at where it would write
                    return bytes(out[len(_KNOWN) :])
                _copy(out, len(out) - back, (pair & 0xF) + 2)
    return bytes(out[len(_KNOWN) : end])


def _copy(out: bytearray, start: int, length: int) -> None:
    """Copy byte by byte, since what is copied may just be coming into being."""
    for place in range(start, start + length):
        out.append(out[place] if place >= 0 else 0x20)
