"""Imports: upload, list, status, delete (API facts: section 7)."""

from __future__ import annotations

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from compasso.sandbox.answers import (
    PAGING,
    deleted,
    found_by_id,
    missing,
    page_of_records,
    paged,
    path_id,
)
from compasso.sandbox.endpoint import Area, Endpoint, Evidence, ref
from compasso.sandbox.errors import ApiError
from compasso.sandbox.sandbox import Sandbox
from compasso.sandbox.settings import MAX_IMPORT_BYTES
from compasso.sandbox.shapes import COUNT, DATE_TIME, ID, TEXT

_FORM_BYTES = 10_000  # what the other parts of the form may add to the file


class _InMemory(MultiPartParser):
    """A form whose file stays in memory: it is read whole anyway, and a file on the disk would be
    written by a thread, which virtual time cannot wait for."""

    spool_max_size = MAX_IMPORT_BYTES + _FORM_BYTES


async def list_imports(sandbox: Sandbox, request: Request) -> Response:
    """All imports."""
    return page_of_records(sandbox, request, "imports", sandbox.imports.view)


async def create_import(sandbox: Sandbox, request: Request) -> Response:
    """Queue a CSV file."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise ApiError(415, "The body must be multipart/form-data.")
    if int(request.headers.get("content-length", 0)) > MAX_IMPORT_BYTES + _FORM_BYTES:
        raise ApiError(413, "The file is larger than 50 MB.")
    try:
        form = await _InMemory(request.headers, request.stream()).parse()
    except MultiPartException as error:
        raise ApiError(400, f"The form cannot be read: {error.message}") from None
    try:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise ApiError(400, "The part `file` is missing.")
        content = await file.read()
        fields = {k: v for k, v in form.items() if isinstance(v, str)}
    finally:
        await form.close()
    if len(content) > MAX_IMPORT_BYTES:
        raise ApiError(413, "The file is larger than 50 MB.")
    return JSONResponse(sandbox.imports.view(sandbox.imports.create(fields, content)), 201)


async def get_import(sandbox: Sandbox, request: Request) -> Response:
    """How far an import is."""
    found = found_by_id(sandbox, request, "imports", "import")
    return JSONResponse(sandbox.imports.view(found))


async def delete_import(sandbox: Sandbox, request: Request) -> Response:
    """Forget an import that has ended (documented, H3)."""
    found = sandbox.account.get("imports", path_id(sandbox, request))
    if found is None:
        return missing(sandbox, "import", "DELETE")
    if found["status"] not in {"finished", "error"}:
        raise ApiError(400, "Only imports that have finished or failed can be deleted.")
    sandbox.imports.delete(found)
    return deleted()


_FLAG = {"type": "string", "enum": ["true", "false"]}
_BOOLEAN = {"type": "boolean"}

AREA = Area(
    title="Imports",
    rank=10,
    endpoints=(
        Endpoint(
            "GET", "/imports/", list_imports, "All imports, newest first",
            Evidence.SEEN, "C4", {200: paged(ref("Import"))}, (400,), query=PAGING,
        ),
        Endpoint(
            "POST", "/imports/", create_import, "Import a CSV file",
            Evidence.DOCUMENTED, "D11", {201: ref("Import")}, (400, 413, 415, 422),
            body=ref("ImportCreate"), body_type="multipart/form-data",
        ),
        Endpoint(
            "GET", "/imports/{id}", get_import, "The state of an import",
            Evidence.DOCUMENTED, "D11", {200: ref("Import")}, (400, 404), path_schemas={"id": ID},
        ),
        Endpoint(
            "DELETE", "/imports/{id}", delete_import, "Delete an import that has ended",
            Evidence.DOCUMENTED, "H3, path C4", {204: None}, (400, 404), path_schemas={"id": ID},
        ),
    ),
    schemas={
        "ImportCreate": {
            "type": "object",
            "properties": {
                "type": {"type": "string", "enum": ["contacts", "products", "coupons"]},
                "overrideExisting": _FLAG,
                "updateOnlyEmptyFields": _FLAG,
                "delimiter": {"type": "string", "enum": [",", ";"]},
                "couponSetId": ID,
                "file": {"type": "string", "format": "binary"},
            },
            "required": ["type", "overrideExisting", "updateOnlyEmptyFields", "delimiter", "file"],
        },
        "Import": {
            "type": "object",
            "properties": {
                "id": ID,
                "type": {"type": "string", "enum": ["contacts", "products", "coupons"]},
                "status": {
                    "type": "string",
                    "enum": ["queued", "inProgress", "finished", "error", "cancelled"],
                },
                "origin": {"type": "string", "enum": ["api", "app"]},
                "total": COUNT,
                "success": COUNT,
                "errors": COUNT,
                "errorReportFileUrl": TEXT,
                "options": {
                    "type": "object",
                    "properties": {
                        "delimiter": {"type": "string", "enum": [",", ";"]},
                        "overrideExisting": _BOOLEAN,
                        "updateOnlyEmptyFields": _BOOLEAN,
                        "couponSetId": ID,
                    },
                    "required": ["delimiter", "overrideExisting", "updateOnlyEmptyFields"],
                    "additionalProperties": False,
                },
                "createdAt": DATE_TIME,
                "startedAt": DATE_TIME,
                "finishedAt": DATE_TIME,
                "cancelledAt": DATE_TIME,
            },
            "required": [
                "id", "type", "status", "origin", "total", "success", "errors", "options",
                "createdAt",
            ],
            "additionalProperties": False,
        },
    },
)  # fmt: skip
