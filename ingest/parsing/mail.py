"""Reads e-mail: the message is a document, and so is each thing attached to it.

Attachments are read in memory, by the same readers and under the same caps as files; they never
get a name on the disk. Only this file knows oxmsg, which opens Outlook's .msg files.
"""

from __future__ import annotations

import email
import email.policy
import mimetypes
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from email.message import EmailMessage, Message

from oxmsg import Message as OutlookMessage

from ingest.parsing.builder import Builder, one_line, visible
from ingest.parsing.formats import Format, declared_format, parse
from ingest.parsing.lzfu import unpacked
from ingest.parsing.rtf import write_rtf
from ingest.parsing.text import add_paragraphs, decode
from ingest.parsing.webpage import write_html
from knowledge.errors import IngestError, TooLarge, Unreadable, Unsupported
from knowledge.models import BlockKind, Parsed

MAX_ATTACHMENTS = 100
MAX_ATTACHED_BYTES = 200_000_000
MAX_DEPTH = 3
"""Messages inside messages."""

_HEADERS = ("From", "To", "Cc", "Date", "Subject")
_ENCRYPTED = ("application/pkcs7-mime", "application/x-pkcs7-mime", "multipart/encrypted")
_NO_DOCUMENTS = ("application/pgp-signature", "application/pkcs7-signature",
                 "application/x-pkcs7-signature", "text/calendar")  # fmt: skip
_MAILS = {Format.EMAIL: "eml", Format.OUTLOOK: "msg"}
# What readers raise for damaged files besides errors of ours; the jail does the same for files.
_DAMAGED = (
    ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, OSError, RuntimeError,
    TypeError, ValueError, struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


@dataclass(slots=True)
class _Mail:
    """A message, whatever format it came in."""

    headers: dict[str, str] = field(default_factory=dict)
    texts: list[tuple[str, bool]] = field(default_factory=list)
    """Each with whether it is HTML."""
    rich: bytes = b""
    """The text as RTF, where there is no other."""
    attached: list[tuple[str, bytes]] = field(default_factory=list)
    skipped: int = 0
    """Bytes of pictures that belong to the body."""


@dataclass(slots=True)
class _Budget:
    """What may still be read of attachments, in all."""

    count: int = MAX_ATTACHMENTS
    size: int = MAX_ATTACHED_BYTES

    def spend(self, size: int) -> None:
        """Take one attachment off. Raises `TooLarge`."""
        self.count -= 1
        self.size -= size
        if self.count < 0:
            raise TooLarge(f"it is one of more than {MAX_ATTACHMENTS}")
        if self.size < 0:
            raise TooLarge(f"with it there are more than {MAX_ATTACHED_BYTES:,} bytes attached")


def parse_email(data: bytes, stem: str) -> Iterator[Parsed]:
    """Yield the message, titled by its subject, then each attachment that can be read."""
    yield from _documents(_from_mime(_message(data)), stem, "", 1, _Budget())


def parse_msg(data: bytes, stem: str) -> Iterator[Parsed]:
    """Yield the message, titled by its subject, then each attachment that can be read."""
    yield from _documents(_from_outlook(data), stem, "", 1, _Budget())


# --- documents ------------------------------------------------------------------------------------


def _documents(mail: _Mail, stem: str, part: str, depth: int, budget: _Budget) -> Iterator[Parsed]:
    """Yield a message as the document `part`, then what is attached to it below that name."""
    builder = Builder()
    lines = [f"{name}: {mail.headers[name]}" for name in _HEADERS if mail.headers.get(name)]
    builder.add(BlockKind.PARAGRAPH, "\n".join(lines))
    for text, is_html in mail.texts:
        if is_html:
            write_html(builder, text)
        else:
            add_paragraphs(builder, text)
    write_rtf(builder, mail.rich)
    found: list[Parsed] = []
    skipped = mail.skipped
    if (more := len(mail.attached) - MAX_ATTACHMENTS) > 0:
        builder.warnings.append(
            f"{more:,} attachments beyond the first {MAX_ATTACHMENTS} are not read"
        )
        skipped += sum(len(data) for _, data in mail.attached[MAX_ATTACHMENTS:])
    for name, data in _named(mail.attached[:MAX_ATTACHMENTS]):
        try:
            budget.spend(len(data))
            found.extend(_attachment(name, data, f"{part}/{name}".lstrip("/"), depth, budget))
        except IngestError as error:
            builder.warnings.append(f"attachment {name}: {error}")
            skipped += len(data)
    builder.coverage = replace(builder.coverage, layer_characters=0, skipped_bytes=skipped)
    metadata = {name.lower(): shown for name, shown in mail.headers.items() if shown}
    title = mail.headers.get("Subject") or stem
    yield replace(builder.build(title, metadata=metadata), part=part)
    yield from found


def _attachment(name: str, data: bytes, part: str, depth: int, budget: _Budget) -> Iterator[Parsed]:
    """Yield the documents in an attachment. Raises `IngestError`s only."""
    try:
        kind = declared_format(name)
        if kind in _MAILS:
            if depth >= MAX_DEPTH:
                raise TooLarge(f"messages are read {MAX_DEPTH} deep")
            mail = _from_mime(_message(data)) if kind is Format.EMAIL else _from_outlook(data)
            yield from _documents(mail, name, part, depth + 1, budget)
            return
        if kind is Format.JSON_LINES:
            raise Unsupported("a document a line is read from files only")
        for parsed in parse(data, name):
            yield replace(parsed, part=part)
    except _DAMAGED as error:
        raise Unreadable(f"it may be damaged ({type(error).__name__})", code="damaged") from error


def _named(attached: list[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    """Yield attachments with names that are plain and differ."""
    taken: set[str] = set()
    for number, (given, data) in enumerate(attached, start=1):
        plain = one_line(given.replace("\\", "/").rpartition("/")[2]).strip(". ")
        name = unique = plain or f"attachment {number}"
        again = 1
        while unique.casefold() in taken:
            again += 1
            head, dot, suffix = name.rpartition(".")
            unique = f"{head} ({again}).{suffix}" if dot else f"{name} ({again})"
        taken.add(unique.casefold())
        yield unique, data


# --- MIME -----------------------------------------------------------------------------------------


def _message(data: bytes) -> EmailMessage:
    return email.message_from_bytes(data, policy=email.policy.default)


def _from_mime(message: EmailMessage) -> _Mail:
    if message.get_content_type() in _ENCRYPTED:
        raise Unreadable("it is an encrypted message; save it decrypted", code="encrypted")
    mail = _Mail({name: _header(message, name) for name in _HEADERS})
    for part, inline in _parts(message):
        kind = part.get_content_type()
        if kind == "message/rfc822":
            inner = part.get_payload()
            if isinstance(inner, list) and inner and isinstance(inner[0], Message):
                subject = one_line(str(inner[0].get("Subject", ""))).replace("/", " ")
                mail.attached.append((f"{subject or 'message'}.eml", inner[0].as_bytes()))
            continue
        payload = part.get_payload(decode=True)
        content = payload if isinstance(payload, bytes) else b""
        if _is_text(part):
            mail.texts.append((decode(content, part.get_content_charset()), kind == "text/html"))
        elif inline and kind.startswith("image/"):
            mail.skipped += len(content)
        elif content and kind not in _NO_DOCUMENTS:
            mail.attached.append((_file_name(part, kind), content))
    return mail


def _parts(part: Message, *, inline: bool = False) -> Iterator[tuple[Message, bool]]:
    """Yield the parts that are read, each with whether it belongs to a page of HTML."""
    payload = part.get_payload()
    kind = part.get_content_type()
    if kind == "message/rfc822" or not isinstance(payload, list):
        yield part, inline
        return
    inner = [each for each in payload if isinstance(each, Message)]
    if kind == "multipart/alternative" and inner:
        inner = [max(inner, key=_richness)]
    for each in inner:
        yield from _parts(each, inline=inline or kind == "multipart/related")


def _richness(part: Message) -> int:
    """Return how well one of several alternatives is read: HTML best, then plain text."""
    kinds = {each.get_content_type() for each in part.walk()}
    return 2 if "text/html" in kinds else 1 if "text/plain" in kinds else 0


def _is_text(part: Message) -> bool:
    named = part.get_content_disposition() == "attachment" or part.get_filename()
    return part.get_content_type() in ("text/plain", "text/html") and not named


def _file_name(part: Message, kind: str) -> str:
    given = part.get_filename()
    return given if given else f"attachment{mimetypes.guess_extension(kind) or ''}"


def _header(message: EmailMessage, name: str) -> str:
    return " ".join(visible(str(message.get(name, ""))).split())


# --- Outlook --------------------------------------------------------------------------------------


def _from_outlook(data: bytes) -> _Mail:
    try:
        mail = _read_outlook(OutlookMessage.load(data))
    except _DAMAGED as error:
        raise Unreadable("it is damaged; save the message again", code="damaged") from error
    if not (any(mail.headers.values()) or mail.texts or mail.rich or mail.attached):
        raise Unreadable("it holds no message; it may be damaged", code="damaged")
    return mail


def _read_outlook(message: OutlookMessage) -> _Mail:
    sent = message.sent_date
    headers = {
        "From": message.sender or "",
        "To": _addressed(message, 1),
        "Cc": _addressed(message, 2),
        "Date": "" if sent is None else sent.isoformat(" ", "minutes"),
        "Subject": message.subject,
    }
    mail = _Mail({name: " ".join(visible(shown).split()) for name, shown in headers.items()})
    markup = message.html_body
    if markup:
        mail.texts.append((markup, True))
    elif message.body:
        mail.texts.append((message.body, False))
    else:
        mail.rich = unpacked(message.properties.binary_prop_value(_RTF_COMPRESSED) or b"")
    for attachment in message.attachments:
        name = attachment.file_name or ("attachment" if attachment.file_bytes else _EMBEDDED)
        mail.attached.append((name, attachment.file_bytes or b""))
    return mail


def _addressed(message: OutlookMessage, kind: int) -> str:
    """Return those a message was sent to (1) or copied to (2)."""
    people = (
        recipient
        for recipient in message.recipients
        if (recipient.properties.int_prop_value(_RECIPIENT_TYPE) or 1) == kind
    )
    return ", ".join(f"{each.name or ''} <{each.email_address or ''}>".strip() for each in people)


_RECIPIENT_TYPE, _RTF_COMPRESSED = 0x0C15, 0x1009
_EMBEDDED = "message inside it (save it as .eml)"
