"""Exports: a queue of files to be written, one at a time (API facts: section 8)."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from compasso.sandbox.checking import check
from compasso.sandbox.errors import ApiError, invalid
from compasso.sandbox.export_files import activity_rows, contact_rows, members, report_rows, zipped
from compasso.sandbox.files import file_address
from compasso.sandbox.records import Records
from compasso.sandbox.settings import EXPORT_DAYS, MAX_QUEUED_EXPORTS, SandboxSettings
from compasso.sandbox.shapes import closed_object
from compasso.sandbox.store import Account, Record, iso, new_id, shown

VERSIONS = ("v1", "v2", "v3", "v4", "v5", "v6")
_DONE = {"finished", "error"}
_DELIMITER = {"type": "string", "enum": [",", ";"]}
_DAY = {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"}
# A date with a time is documented, a plain date is seen in a client (C1).
_MOMENT = {"type": "string", "format": "date-time"}
_FILTERS = {
    "segmentId": {"type": "string"},
    "fromDate": _MOMENT,
    "toDate": _MOMENT,
    "activityTypes": {"type": "array", "items": {"type": "string", "minLength": 1}},
}
_STATUS = {"type": "string", "enum": ["queued", "inProgress", "finished", "error"]}


SCHEMAS: Mapping[str, Any] = {
    "ExportCreate": closed_object(
        {
            "exportType": {"type": "string", "enum": ["contacts", "activities"]},
            "delimiter": _DELIMITER,
            "dateFormat": {"type": "string", "enum": ["ISO", "L", "LL", "LLL"]},
            "filters": {
                "type": "object",
                "properties": _FILTERS,
                "additionalProperties": False,
            },
            "version": {"type": "string", "enum": list(VERSIONS)},
        },
        "exportType", "delimiter", "dateFormat",
    ),
    "DataExplorerExportCreate": closed_object(
        {
            "delimiter": _DELIMITER,
            "filters": closed_object(
                {"reportId": {"type": "string", "minLength": 1}, "fromDate": _DAY, "toDate": _DAY},
                "reportId", "fromDate", "toDate",
            ),
        },
        "delimiter", "filters",
    ),
    "Export": closed_object(
        {
            "id": {"type": "string"},
            "exportType": {"type": "string"},
            "status": _STATUS,
            "progress": {"type": "integer", "minimum": 0},
            "total": {"type": "integer", "minimum": 0},
            "delimiter": _DELIMITER,
            "dateFormat": {"type": "string"},
            "filters": {"type": "object"},
            "version": {"type": "string"},
            "origin": {"type": "string", "enum": ["api", "app"]},
            "fileName": {"type": "string"},
            "fileExtension": {"type": "string"},
            "fileUrl": {"type": "string"},
            "createdAt": _MOMENT,
            "finishedAt": _MOMENT,
        },
        "id", "exportType", "status", "progress", "total", "delimiter", "filters", "origin",
        "createdAt",
    ),
}  # fmt: skip


class Exports:
    """The account's exports. Time does the work: each look brings them up to now."""

    def __init__(self, account: Account, records: Records, settings: SandboxSettings) -> None:
        self.account = account
        self.records = records
        self.settings = settings
        self.stuck = self.failed = 0  # the next exports that a fault concerns
        known = account.list("exports")
        self._open = [e["id"] for e in known if e["status"] not in _DONE]
        self._free_at = max((e.get("__finished", 0.0) for e in known), default=0.0)

    def create(self, body: Any) -> Record:
        """POST /exports/. Raises 422, and 400 E0301."""
        check(SCHEMAS["ExportCreate"], body)
        filters = body.get("filters", {})
        problems = self._filter_problems(body["exportType"], filters)
        if problems:
            raise invalid(problems)
        return self._queue({"version": "v1", **body, "filters": filters}, body["exportType"])

    def create_report(self, body: Any) -> Record:
        """POST /exports/type/data-explorer. Raises 422, and 400 E0301."""
        check(SCHEMAS["DataExplorerExportCreate"], body)
        filters = body["filters"]
        problems = _range_problems(filters, both_days=True)
        report = self.account.get("reports", filters["reportId"])
        if report is None:
            problems.append(("filters/reportId", "Value is not valid"))
        if problems or report is None:
            raise invalid(problems)
        days = f"{filters['fromDate']}-{filters['toDate']}".replace("-", "")
        name = f"{report['name']}-{days[:8]}-{days[8:]}"
        return self._queue({**body, "exportType": "data-explorer"}, name)

    def _filter_problems(self, kind: str, filters: Mapping[str, Any]) -> list[tuple[str, str]]:
        found = []
        if kind == "contacts":
            only = set(filters) - {"segmentId"}
            found = [(f"filters/{name}", "Goes with activities") for name in sorted(only)]
        else:
            found = _range_problems(filters, both_days=False)
        segment = filters.get("segmentId")
        if segment is not None and self.account.get("segments", segment) is None:
            found.append(("filters/segmentId", "Value is not valid"))
        return found

    def _queue(self, body: Mapping[str, Any], name: str) -> Record:
        self.advance()
        waiting = [self.account.records["exports"][identity] for identity in self._open]
        if sum(1 for e in waiting if e["status"] == "queued") >= MAX_QUEUED_EXPORTS:
            raise ApiError(400, "There are already 5 queued exports.", code="E0301")
        now = self.settings.clock()
        prefix = name if body["exportType"] == "data-explorer" else f"export-{name}"
        record = {
            "id": new_id(),
            **body,
            "status": "queued",
            "progress": 0,
            "total": self._count(body),
            "origin": "api",
            "fileName": f"{prefix}-{uuid.UUID(hex=secrets.token_hex(16), version=4)}",
            "fileExtension": "zip",
            "createdAt": iso(now),
            "__created": now,
        }
        for fault in ("stuck", "failed"):
            if getattr(self, fault) > 0:
                setattr(self, fault, getattr(self, fault) - 1)
                record[f"__{fault}"] = True
        self.account.put("exports", [record])
        self._open.append(record["id"])
        self.advance()
        return self.account.records["exports"][record["id"]]

    def _count(self, body: Mapping[str, Any]) -> int:
        """How many rows the file would have now."""
        if body["exportType"] == "contacts":
            return len(members(self.records, body["filters"].get("segmentId")))
        return len(self._tables(body)[0]) - 1

    def _tables(self, body: Mapping[str, Any]) -> tuple[list[list[Any]], list[list[Any]]]:
        if body["exportType"] == "contacts":
            return contact_rows(self.records, body), []
        if body["exportType"] == "activities":
            return activity_rows(self.records, body)
        return report_rows(self.records, body), []

    def advance(self) -> None:
        """Bring every export to where it is now: first come, first served."""
        now = self.settings.clock()
        while self._open:
            record = self.account.records["exports"][self._open[0]]
            start = max(record["__created"], self._free_at)
            if start > now:  # the clock was set back: it begins now
                start = self._free_at = now
                record = {**record, "__created": now}
            seconds = max(
                self.settings.export_min_seconds,
                record["total"] / self.settings.export_rows_per_second,
            )
            done = min(1.0, (now - start) / seconds) if seconds > 0 else 1.0
            changed = {
                **record,
                "status": "inProgress",
                "progress": int(record["total"] * (0 if record.get("__stuck") else done)),
            }
            if done >= 1.0 and not record.get("__stuck"):
                changed |= self._finish(record, start + seconds)
            if changed != self.account.records["exports"][record["id"]]:
                self.account.put("exports", [changed])
            if changed["status"] not in _DONE:
                break
            self._open.pop(0)
            self._free_at = start + seconds

    def _finish(self, record: Record, at: float) -> dict[str, Any]:
        end = {"finishedAt": iso(at), "__finished": at}
        if record.get("__failed"):
            return {"status": "error", **end}
        main, second = self._tables(record)
        content = zipped(record, main, second, self.settings.behaviour)
        self.account.put_file(f"exports/{record['id']}", content)
        rows = len(main) - 1
        return {"status": "finished", "total": rows, "progress": rows, **end}

    def delete(self, record: Record) -> None:
        """Forget an export and its file."""
        self.account.remove("exports", record)
        self.account.drop_file(f"exports/{record['id']}")
        if record["id"] in self._open:
            self._open.remove(record["id"])

    def view(self, record: Record) -> Record:
        """An export as the API shows it, with a new address of its file (documented)."""
        view = shown(record)
        if record["status"] == "finished":
            view["fileUrl"] = file_address(
                self.account,
                self.settings.address,
                f"exports/{record['id']}",
                f"{record['fileName']}.{record['fileExtension']}",
                self.settings.clock(),
            )
        return view


def _range_problems(filters: Mapping[str, Any], *, both_days: bool) -> list[tuple[str, str]]:
    """At most 31 days; for reports both ends are days that count (documented)."""
    missing = [n for n in ("fromDate", "toDate") if n not in filters]
    if missing:
        return [(f"filters/{name}", "Value is required") for name in missing]
    try:
        if both_days:
            begin = date.fromisoformat(filters["fromDate"])
            length = date.fromisoformat(filters["toDate"]) - begin + timedelta(days=1)
        else:
            length = moment(filters["toDate"]) - moment(filters["fromDate"])
    except (ValueError, OverflowError):
        return [("filters/fromDate", "Value is not valid")]
    if length < timedelta(0) or (both_days and length <= timedelta(0)):
        return [("filters/toDate", "Value is before fromDate")]
    if length > timedelta(days=EXPORT_DAYS):
        return [("filters/toDate", f"The range is longer than {EXPORT_DAYS} days")]
    return []


def moment(text: str) -> datetime:
    """A moment of the API; without a zone it is UTC."""
    found = datetime.fromisoformat(text.upper())
    return found if found.tzinfo else found.replace(tzinfo=UTC)
