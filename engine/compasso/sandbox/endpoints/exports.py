"""Exports: contacts, activities and reports as ZIP files (API facts: section 8)."""

from __future__ import annotations

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
    read_json,
)
from compasso.sandbox.endpoint import Area, Endpoint, Evidence, ref
from compasso.sandbox.exports import SCHEMAS
from compasso.sandbox.sandbox import Sandbox
from compasso.sandbox.shapes import ID


async def list_exports(sandbox: Sandbox, request: Request) -> Response:
    """All exports."""
    return page_of_records(sandbox, request, "exports", sandbox.exports.view)


async def create_export(sandbox: Sandbox, request: Request) -> Response:
    """Queue an export of contacts or activities."""
    record = sandbox.exports.create(await read_json(request))
    return JSONResponse(sandbox.exports.view(record), sandbox.behaviour.post_status)


async def create_report_export(sandbox: Sandbox, request: Request) -> Response:
    """Queue an export of a report."""
    record = sandbox.exports.create_report(await read_json(request))
    return JSONResponse(sandbox.exports.view(record), sandbox.behaviour.post_status)


async def get_export(sandbox: Sandbox, request: Request) -> Response:
    """How far an export is, and a new address of its file once it has finished."""
    found = found_by_id(sandbox, request, "exports", "export")
    return JSONResponse(sandbox.exports.view(found))


async def delete_export(sandbox: Sandbox, request: Request) -> Response:
    """Remove an export and its file."""
    found = sandbox.account.get("exports", path_id(sandbox, request))
    if found is None:
        return missing(sandbox, "export", "DELETE")
    sandbox.exports.delete(found)
    return deleted()


_ONE, _EXPORT = "/exports/{id}", ref("Export")
_ERRORS = (400, 413, 415, 422)

AREA = Area(
    title="Exports",
    rank=11,
    endpoints=(
        Endpoint(
            "GET", "/exports/", list_exports, "All exports", Evidence.DOCUMENTED, "D10, C5",
            {200: paged(_EXPORT)}, (400,), query=PAGING,
        ),
        Endpoint(
            "POST", "/exports/", create_export, "Export contacts or activities",
            Evidence.DOCUMENTED, "D10", {201: _EXPORT}, _ERRORS, body=ref("ExportCreate"),
        ),
        Endpoint(
            "POST", "/exports/type/data-explorer", create_report_export, "Export a report",
            Evidence.DOCUMENTED, "D10", {201: _EXPORT}, _ERRORS,
            body=ref("DataExplorerExportCreate"),
        ),
        Endpoint(
            "GET", _ONE, get_export, "The state of an export, and where its file is",
            Evidence.DOCUMENTED, "D10", {200: _EXPORT}, (400, 404), path_schemas={"id": ID},
        ),
        Endpoint(
            "DELETE", _ONE, delete_export, "Delete an export", Evidence.DOCUMENTED, "H17, path C4",
            {204: None}, (400, 404), path_schemas={"id": ID},
        ),
    ),
    schemas=SCHEMAS,
)  # fmt: skip
