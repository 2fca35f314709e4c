"""Imports: CSV files of contacts, products or coupon codes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal, Required, TypedDict

from compasso.connectif.api.calls import Area, segment
from compasso.connectif.api.waiting import wait_until_ended
from compasso.model import CompassoError


class ImportOptions(TypedDict, total=False):
    """How an import was asked for (D11)."""

    delimiter: Required[Literal[",", ";"]]
    overrideExisting: Required[bool]
    updateOnlyEmptyFields: Required[bool]
    couponSetId: str


class Import(TypedDict, total=False):
    """An import (D11). progress = success + errors, of total rows."""

    id: Required[str]
    type: Required[Literal["contacts", "products", "coupons"]]
    status: Required[Literal["queued", "inProgress", "finished", "error", "cancelled"]]
    origin: Literal["api", "app"]
    total: Required[int]
    success: Required[int]
    errors: Required[int]
    errorReportFileUrl: str
    options: ImportOptions
    createdAt: str
    startedAt: str
    finishedAt: str
    cancelledAt: str


class Imports(Area):
    """Imports: up to 50 MB a file, 10 in the queue (D11, H3)."""

    async def list(self) -> AsyncIterator[Import]:
        """GET /imports/ (C4): all of them, page by page, newest first (a guess)."""
        async for item in self._pages("/imports/"):
            yield item

    async def get(self, import_id: str) -> Import | None:
        """GET /imports/{id} (D11). None where there is none."""
        found: Import | None = await self._read(f"/imports/{segment(import_id)}")
        return found

    async def create(
        self,
        type: Literal["contacts", "products", "coupons"],
        file: Path,
        *,
        override_existing: bool = True,
        update_only_empty_fields: bool = False,
        delimiter: Literal[",", ";"] = ",",
        coupon_set_id: str | None = None,
    ) -> Import:
        """POST /imports/ (D11): a UTF-8 CSV file whose header names field ids.

        A cell of a phone, date, integer, decimal or radio column may not be empty (H4). Raises
        Refused: 400 E0401 (the queue is full), 413, 422. Raises LostAnswer: the import may be in
        the list.
        """
        answer = await self._client.create_import(
            type,
            file,
            self._priority,
            override_existing=override_existing,
            update_only_empty_fields=update_only_empty_fields,
            delimiter=delimiter,
            coupon_set_id=coupon_set_id,
        )
        made: Import = self._expect(answer, "POST /imports/")
        return made

    async def wait(self, import_id: str, *, timeout: float | None = None) -> Import:
        """Look until it has ended (finished, error or cancelled). Raises CompassoError.

        `finished` with errors is normal: rows fail one by one (H3); `error_report` lists them.
        """
        return await wait_until_ended(
            lambda: self.get(import_id), self._client.clock, timeout, f"import {import_id}"
        )

    async def error_report(self, import_id: str, file: Path) -> bool:
        """Fetch the CSV of the rows that failed (D11); False where there is none."""
        found = await self.get(import_id)
        if found is None:
            raise CompassoError.say(f"there is no import {import_id}")
        if "errorReportFileUrl" not in found:
            return False
        await self._client.download(found["errorReportFileUrl"], file)
        return True

    async def delete(self, import_id: str) -> bool:
        """DELETE /imports/{id} (H3, path C4): only after it has ended, else Refused."""
        return await self._remove(f"/imports/{segment(import_id)}")
