"""Documents and uploads over HTTP; what a caller may not see is absent."""

from __future__ import annotations

import asyncio
import re
from pathlib import PurePosixPath
from typing import Annotated, Any
from urllib.parse import quote, unquote

from fastapi import Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import UploadFile

from knowledge.errors import NotFound
from knowledge.models import DEFAULT_COLLECTION, EVERYONE, Document, Principal
from serving import schemas, wire
from serving.api.guard import ID, DocumentId, House, SubmissionId, Who
from serving.refusal import Refusal, Responses
from serving.services import Services

_COLLECTION: TypeAdapter[str] = TypeAdapter(schemas.CollectionName)
_TAGS: TypeAdapter[list[str]] = TypeAdapter(schemas.Tags)
_TOKENS: TypeAdapter[list[str]] = TypeAdapter(list[schemas.AccessToken])

UPLOAD_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "additionalProperties": False,
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "collection": {"type": "string", "default": DEFAULT_COLLECTION},
                        "access": {
                            "type": "array",
                            "items": {"type": "string"},
                            "description": "Who may read it, among the caller's own tokens",
                        },
                        "tags": {"type": "array", "items": {"type": "string"}},
                    },
                }
            }
        },
    }
}
CONTENT: Responses = {
    200: {
        "description": "The original bytes",
        "content": {"application/octet-stream": {"schema": {"type": "string"}}},
    }
}


async def upload(request: Request, who: Who, services: House) -> Response:
    """Take a file in; it is durable when this answers, and indexed soon after."""
    form = await request.form(max_files=1, max_fields=300, max_part_size=4096)
    try:
        if unknown := set(form) - {"file", "collection", "access", "tags"}:
            raise _invalid(sorted(unknown)[0], "there is no such field")
        file = form.get("file")
        if not isinstance(file, UploadFile) or not _file_name(file):
            raise _invalid("file", "a file with a name is required")
        collection = _checked(_COLLECTION, "collection", form.get("collection", DEFAULT_COLLECTION))
        access = _access(services, who, form.getlist("access"))
        tags = frozenset(_checked(_TAGS, "tags", form.getlist("tags")))
        taken = await asyncio.to_thread(
            services.intake.submit,
            file.file,
            name=_file_name(file),
            collection=collection,
            access=access,
            by=who,
            tags=tags,
        )
    finally:
        await form.close()
    body = wire.submission_json(taken)
    return JSONResponse(body, status_code=202, headers={"Location": body["status_url"]})


def _access(services: Services, who: Principal, given: list[Any]) -> frozenset[str]:
    """Return who may read an upload; a caller cannot name anybody he does not belong to."""
    if not given:
        return frozenset({EVERYONE if services.gate.keys is None else f"u:{who.user}"})
    tokens = frozenset(_checked(_TOKENS, "access", given))
    if not tokens <= who.tokens():
        raise _invalid("access", "only your own tokens can be given")
    return tokens


def _file_name(file: UploadFile) -> str:
    name = PurePosixPath((file.filename or "").replace("\\", "/")).name
    return "".join(letter for letter in name if letter.isprintable())[-255:]


def _checked(adapter: TypeAdapter[Any], field: str, value: object) -> Any:  # noqa: ANN401
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        raise _invalid(field, error.errors()[0]["msg"]) from error


def _invalid(field: str, reason: str) -> Refusal:
    return Refusal(422, "invalid_request", f"{field}: {reason}", field=field)


async def documents(
    who: Who, services: House, asked: Annotated[schemas.DocumentsIn, Query()]
) -> Response:
    """List the documents that the caller may read, by id."""
    found = await asyncio.to_thread(
        services.library.documents,
        who,
        collection=asked.collection,
        after=asked.after,
        limit=asked.limit,
        filters=asked.made(),
    )
    more = found[-1].id if len(found) == asked.limit else None
    listed = [wire.document_json(each, who) for each in found]
    return JSONResponse({"documents": listed, "next": more})


async def document(document_id: DocumentId, who: Who, services: House) -> Response:
    """Show one document."""
    found = await asyncio.to_thread(services.library.document, document_id, who)
    return JSONResponse(wire.document_json(found, who))


async def content(document_id: DocumentId, who: Who, services: House) -> Response:
    """Hand out the original file, to be saved and never to be shown as part of this site.

    For a part, such as an attachment, that is the file it came in; only whoever may read all of
    that file gets it.
    """
    found, data = await asyncio.to_thread(_original, services, document_id, who)
    return Response(
        data,
        headers={
            "Content-Type": found.media_type,
            "Content-Disposition": _attachment(found),
            "Content-Security-Policy": "sandbox; default-src 'none'",
        },
    )


def _original(services: Services, document_id: str, who: Principal) -> tuple[Document, bytes]:
    found = services.library.document(document_id, who)
    revision = services.library.revision(document_id, who)
    if not services.library.reads_file(found, who):
        raise NotFound("there is no such document")
    return found, services.intake.content(revision.digest)


def _attachment(found: Document) -> str:
    """Return the header with the file's name, in plain ASCII and in full (RFC 6266, RFC 5987)."""
    name = unquote(PurePosixPath(found.uri.partition("#")[0]).name) or found.id
    plain = re.sub(r"[^A-Za-z0-9._ -]", "_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


async def remove(document_id: DocumentId, who: Who, services: House) -> Response:
    """Make a document invisible at once, and have it cleaned away."""
    await asyncio.to_thread(_remove, services, document_id, who)
    return Response(status_code=204)


def _remove(services: Services, document_id: str, who: Principal) -> None:
    _require_editor(services, document_id, who)
    services.intake.remove(document_id)


def _require_editor(services: Services, document_id: str, who: Principal) -> None:
    """Refuse who may read the document, but neither looks after documents nor handed it in."""
    found = services.library.document(document_id, who)
    if not (who.has_role("admin") or who.has_role("editor") or _uploaded_by(found, who)):
        raise _forbidden("editor")


def _uploaded_by(found: Document, who: Principal) -> bool:
    return found.metadata.get("uploaded_by") == who.user


async def set_access(
    document_id: DocumentId, body: schemas.AccessIn, who: Who, services: House
) -> Response:
    """Set who may read a document, effective at once; for administrators."""
    await asyncio.to_thread(_set_access, services, document_id, frozenset(body.access), who)
    return Response(status_code=204)


def _set_access(
    services: Services, document_id: str, access: frozenset[str], who: Principal
) -> None:
    if not who.has_role("admin"):
        services.library.document(document_id, who)
        raise _forbidden("admin")
    services.intake.set_access(document_id, access)


async def set_tags(
    document_id: DocumentId, body: schemas.TagsIn, who: Who, services: House
) -> Response:
    """Set the tags of a document; for editors, and for whoever handed it in."""
    await asyncio.to_thread(_set_tags, services, document_id, frozenset(body.tags), who)
    return Response(status_code=204)


def _set_tags(services: Services, document_id: str, tags: frozenset[str], who: Principal) -> None:
    _require_editor(services, document_id, who)
    services.intake.set_tags(document_id, tags)


async def coverage(
    who: Who,
    services: House,
    after: Annotated[str | None, Query(pattern=ID.pattern, max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """List documents of which little or nothing can be found, and why; for administrators."""
    if not who.has_role("admin"):
        raise _forbidden("admin")
    gaps = await asyncio.to_thread(services.gaps, after, limit)
    return JSONResponse(wire.coverage_json(gaps, limit=limit))


def _forbidden(role: str) -> Refusal:
    return Refusal(403, "forbidden", f"This needs the role {role}.")


async def collections(who: Who, services: House) -> Response:
    """List the collections in which the caller may read something."""
    found = await asyncio.to_thread(services.library.collections, who)
    listed = [{"name": name, "documents": count} for name, count in sorted(found.items())]
    return JSONResponse({"collections": listed})


async def facets(
    who: Who, services: House, collection: schemas.CollectionName | None = None
) -> Response:
    """Say what the documents that the caller may read can be narrowed to."""
    found = await asyncio.to_thread(services.library.facets, who, collection=collection)
    return JSONResponse(wire.facets_json(found))


# --- uploads ------------------------------------------------------------------------------------


async def submissions(who: Who, services: House) -> Response:
    """List the caller's latest uploads, newest first."""
    found = await asyncio.to_thread(services.intake.recent, who)
    return JSONResponse({"submissions": [wire.submission_json(each) for each in found]})


async def submission(submission_id: SubmissionId, who: Who, services: House) -> Response:
    """Say where an upload stands."""
    found = await asyncio.to_thread(services.intake.status, submission_id, who)
    return JSONResponse(wire.submission_json(found))


async def cancel(submission_id: SubmissionId, who: Who, services: House) -> Response:
    """Stop an upload that is not yet done; one that is done stays as it is."""
    found = await asyncio.to_thread(services.intake.cancel, submission_id, who)
    return JSONResponse(wire.submission_json(found))
