"""Exports: contacts, activities and reports, as ZIP files of CSVs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal, Required, TypedDict

from compasso.connectif.api.calls import Area, segment
from compasso.connectif.api.waiting import wait_until_ended
from compasso.model import CompassoError

DateFormat = Literal["ISO", "L", "LL", "LLL"]


class ExportFilters(TypedDict, total=False):
    """What an export holds (D10). Activities need both dates, at most 31 days apart."""

    segmentId: str
    fromDate: str
    toDate: str
    activityTypes: list[str]


class Export(TypedDict, total=False):
    """An export (D10). progress is rows, of total (C1)."""

    id: Required[str]
    exportType: Required[str]
    status: Required[Literal["queued", "inProgress", "finished", "error"]]
    progress: int
    total: int
    delimiter: Literal[",", ";"]
    dateFormat: DateFormat
    filters: dict[str, Any]
    version: str
    origin: str
    fileName: str
    fileExtension: str
    fileUrl: str  # only when finished; new at every look, dead after 100 minutes
    createdAt: str
    finishedAt: str


class Exports(Area):
    """Exports: 5 in the queue at most (D2)."""

    async def list(self) -> AsyncIterator[Export]:
        """GET /exports/ (D10, C5): all of them, page by page."""
        async for item in self._pages("/exports/"):
            yield item

    async def get(self, export_id: str) -> Export | None:
        """GET /exports/{id} (D10). None where there is none."""
        found: Export | None = await self._read(f"/exports/{segment(export_id)}")
        return found

    async def create(
        self,
        export_type: Literal["contacts", "activities"],
        *,
        filters: ExportFilters | None = None,
        delimiter: Literal[",", ";"] = ",",
        date_format: DateFormat = "ISO",
        version: str | None = None,
    ) -> Export:
        """POST /exports/ (D10). `version` is v1 (the default) to v6 (H20, C5).

        Raises Refused: 422, or 400 E0301 (the queue is full). Raises LostAnswer.
        """
        body: dict[str, object] = {
            "exportType": export_type,
            "delimiter": delimiter,
            "dateFormat": date_format,
        }
        if filters is not None:
            body["filters"] = filters
        if version is not None:
            body["version"] = version
        made: Export = await self._create("/exports/", body)
        return made

    async def create_report(
        self, report_id: str, from_date: str, to_date: str, *, delimiter: Literal[",", ";"] = ","
    ) -> Export:
        """POST /exports/type/data-explorer (D10): days YYYY-MM-DD, both included, at most 31.

        Raises as `create`.
        """
        filters = {"reportId": report_id, "fromDate": from_date, "toDate": to_date}
        body: dict[str, object] = {"delimiter": delimiter, "filters": filters}
        made: Export = await self._create("/exports/type/data-explorer", body)
        return made

    async def wait(self, export_id: str, *, timeout: float | None = None) -> Export:
        """Look until it has ended (finished or error). Raises CompassoError."""
        return await wait_until_ended(
            lambda: self.get(export_id), self._client.clock, timeout, f"export {export_id}"
        )

    async def download(self, export_id: str, file: Path) -> None:
        """Fetch the ZIP of a finished export, from an address that is new (D10).

        Raises CompassoError: it is not there, or has not finished.
        """
        found = await self.get(export_id)
        if found is None or "fileUrl" not in found:
            state = "is not there" if found is None else f"is {found['status']}, it has no file"
            raise CompassoError.say(f"the export {export_id} {state}")
        await self._client.download(found["fileUrl"], file)

    async def delete(self, export_id: str) -> bool:
        """DELETE /exports/{id} (H17, path C4). Answers whether there was one."""
        return await self._remove(f"/exports/{segment(export_id)}")
