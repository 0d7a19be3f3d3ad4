"""How a request goes to the parser process and documents come back: length-prefixed JSON.

A request is one frame `{"name", "size"}`; once the server has answered `{"started": true}`, `size`
raw bytes follow. The answer is one frame per document, then `{"end": true}` or `{"failed": …}`.
Nothing that comes back is trusted: it is made by a process that has read a hostile file.
"""

from __future__ import annotations

import json
import math
import socket
from dataclasses import asdict
from typing import Any, Protocol

from ingest.parsing.builder import MAX_BLOCKS, MAX_CHARACTERS
from knowledge.errors import IngestError, ParserFailed, TooLarge, Unreadable, Unsupported
from knowledge.models import Block, BlockKind, Box, Coverage, Parsed, Span

MAX_FRAME = 64_000_000
MAX_HEADER = 65_536
MAX_PAGE = 1_000_000

_ERRORS: dict[str, type[IngestError]] = {
    error.__name__: error for error in (Unsupported, TooLarge, Unreadable, ParserFailed)
}
_MAX_MESSAGE = 500


# --- frames -------------------------------------------------------------------------------------


def send_frame(connection: socket.socket, payload: bytes) -> None:
    """Send one frame. Raises `OSError` when the other side is gone."""
    connection.sendall(len(payload).to_bytes(4, "big") + payload)


class Readable(Protocol):
    """What a stream is read from: a socket, or something that looks after one."""

    def recv_into(self, buffer: memoryview, /) -> int:
        """Put some bytes into `buffer` and say how many; 0 at the end."""


def receive_frame(connection: Readable, limit: int = MAX_FRAME) -> bytes | None:
    """Return the next frame, None at a clean end. Raises `ConnectionError` for a torn one."""
    head = receive_exactly(connection, 4, may_end=True)
    if not head:
        return None
    size = int.from_bytes(head, "big")
    if size > limit:
        raise ConnectionError(f"a frame of {size:,} bytes; {limit:,} are allowed")
    return receive_exactly(connection, size)


def receive_exactly(connection: Readable, size: int, *, may_end: bool = False) -> bytes:
    """Return `size` bytes; nothing if the stream `may_end` here and does."""
    data = bytearray(size)
    view, got = memoryview(data), 0
    while got < size:
        count = connection.recv_into(view[got:])
        if not count:
            if may_end and not got:
                return b""
            raise ConnectionError(f"the stream ended after {got:,} of {size:,} bytes")
        got += count
    return bytes(data)


def encode(message: dict[str, Any]) -> bytes:
    """Return `message` as the payload of a frame."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "surrogatepass"
    )


def decode(payload: bytes) -> dict[str, Any]:
    """Return the object in a payload. Raises `ValueError` if it is none."""
    message = json.loads(payload)
    if not isinstance(message, dict):
        raise ValueError("not an object")  # noqa: TRY004 (the caller catches one kind)
    return message


# --- documents ----------------------------------------------------------------------------------


def from_parsed(parsed: Parsed) -> dict[str, Any]:
    """Return a document as a message."""
    return {
        "title": parsed.title,
        "text": parsed.text,
        "blocks": [from_block(block) for block in parsed.blocks],
        "external_id": parsed.external_id,
        "metadata": dict(parsed.metadata),
        "warnings": list(parsed.warnings),
        "error": parsed.error,
        "part": parsed.part,
        "coverage": asdict(parsed.coverage),
    }


def to_parsed(message: dict[str, Any]) -> Parsed:
    """Return the document in a message; raises `ValueError` unless every part is sound."""
    text = _string(message["text"])
    if len(text) > MAX_CHARACTERS or len(message["blocks"]) > MAX_BLOCKS:
        raise ValueError("more text or blocks than one document may have")
    blocks = tuple(to_block(block) for block in message["blocks"])
    _check_order(blocks, len(text))
    identifier = message["external_id"]
    return Parsed(
        title=_string(message["title"]),
        text=text,
        blocks=blocks,
        external_id=None if identifier is None else _string(identifier),
        metadata={_string(key): _string(value) for key, value in message["metadata"].items()},
        warnings=tuple(_string(warning) for warning in message["warnings"]),
        error=_string(message["error"]),
        part=_string(message["part"]),
        coverage=_to_coverage(message["coverage"]),
    )


def from_block(block: Block) -> list[Any]:
    """Return a block as part of a message."""
    box = block.box
    return [
        block.kind.value,
        block.span.start,
        block.span.end,
        block.page,
        None if box is None else [box.x0, box.y0, box.x1, box.y1],
        list(block.heading),
        block.table,
        None if block.header is None else [block.header.start, block.header.end],
        block.place,
    ]


def to_block(values: list[Any]) -> Block:
    """Return the block in a message; raises `ValueError` unless every part is sound."""
    kind, start, end, page, box, heading, table, header, place = values
    return Block(
        kind=BlockKind(kind),
        span=Span(_number(start), _number(end)),
        page=None if page is None else _page(page),
        box=None if box is None else Box(*map(_finite, box)),
        heading=tuple(_string(part) for part in heading),
        table=None if table is None else _number(table),
        header=None if header is None else Span(*map(_number, header)),
        place=_string(place),
    )


def _to_coverage(values: dict[str, Any]) -> Coverage:
    confidence = values["ocr_confidence"]
    return Coverage(
        pages=_number(values["pages"]),
        empty_pages=tuple(map(_number, values["empty_pages"])),
        layer_characters=_number(values["layer_characters"]),
        characters=_number(values["characters"]),
        ocr_pages=tuple(map(_number, values["ocr_pages"])),
        ocr_confidence=None if confidence is None else _finite(confidence),
        tables=_number(values["tables"]),
        skipped_bytes=_number(values["skipped_bytes"]),
    )


def _check_order(blocks: tuple[Block, ...], length: int) -> None:
    end = 0
    for block in blocks:
        if block.span.start < end or block.span.end > length:
            raise ValueError("blocks that overlap or lie outside the text")
        if block.header is not None and block.header.end > block.span.start:
            raise ValueError("a table's header that does not stand before its rows")
        end = block.span.end


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError("not a number")
    return value


def _page(value: object) -> int:
    page = _number(value)
    if page > MAX_PAGE:
        raise ValueError("a page that no document has")
    return page


def _finite(value: object) -> float:
    number = float(value)  # type: ignore[arg-type]  # what is no number raises, as wanted
    if not math.isfinite(number):
        raise ValueError("a number without an end")
    return number


def _string(value: object) -> str:
    """Return a string that can be stored: half of a surrogate pair cannot."""
    if not isinstance(value, str):
        raise ValueError("not a string")  # noqa: TRY004 (as above)
    value.encode()
    return value


# --- errors -------------------------------------------------------------------------------------


def from_error(error: BaseException) -> dict[str, Any]:
    """Return what ended a parse as a message; errors of libraries mean a damaged file."""
    match error:
        case IngestError():
            kind, code, message = type(error).__name__, error.code, str(error)
        case MemoryError():
            kind, code = "ParserFailed", "out_of_memory"
            message = "it needs more memory than the parser may use"
        case RecursionError():
            kind, code, message = "Unreadable", "too_deep", "its parts are nested too deeply"
        case _:
            kind, code = "Unreadable", "damaged"
            message = f"it cannot be read; it may be damaged ({type(error).__name__}: {error})"
    sound = message[:_MAX_MESSAGE].encode(errors="replace").decode()
    return {"failed": {"kind": kind, "code": code, "message": sound}}


def to_error(message: dict[str, Any]) -> IngestError:
    """Return the error in a message. Raises `ValueError` or `KeyError` if it is not sound."""
    error = message["failed"]
    kind = _ERRORS.get(_string(error["kind"]), ParserFailed)
    return kind(_string(error["message"])[:_MAX_MESSAGE], code=_string(error["code"])[:64])
