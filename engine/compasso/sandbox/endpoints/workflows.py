"""Workflows: read only; they are made in the app (API facts: W-1, W-2, H1).

Which properties a workflow has is a guess; its states are those of the help centre's page on
workflows: draft, active, finished.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from compasso.sandbox.answers import PAGING, found_by_id, page_of_records, paged
from compasso.sandbox.endpoint import Area, Endpoint, Evidence, ref
from compasso.sandbox.sandbox import Sandbox
from compasso.sandbox.shapes import DATE_TIME, ID, TEXT
from compasso.sandbox.store import shown

STATUSES = ("draft", "active", "finished")


async def list_workflows(sandbox: Sandbox, request: Request) -> Response:
    """All workflows."""
    return page_of_records(sandbox, request, "workflows")


async def get_workflow(sandbox: Sandbox, request: Request) -> Response:
    """One workflow."""
    return JSONResponse(shown(found_by_id(sandbox, request, "workflows", "workflow")))


AREA = Area(
    title="Workflows",
    rank=6,
    endpoints=(
        Endpoint(
            "GET", "/workflows/", list_workflows, "All workflows",
            Evidence.SEEN, "C4, existence H1 H17", {200: paged(ref("Workflow"))}, (400,),
            query=PAGING,
        ),
        Endpoint(
            "GET", "/workflows/{id}", get_workflow, "One workflow",
            Evidence.SEEN, "C4", {200: ref("Workflow")}, (400, 404), path_schemas={"id": ID},
        ),
    ),
    schemas={
        "Workflow": {
            "type": "object",
            "properties": {
                "id": ID,
                "name": TEXT,
                "status": {"type": "string", "enum": list(STATUSES)},
                "createdAt": DATE_TIME,
                "updatedAt": DATE_TIME,
            },
            "required": ["id", "name", "status", "createdAt"],
            "additionalProperties": False,
        }
    },
)  # fmt: skip
