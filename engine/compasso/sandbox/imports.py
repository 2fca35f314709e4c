"""Imports: a queue of CSV files, worked off one at a time (API facts: section 7)."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

from compasso.sandbox.errors import ApiError, invalid
from compasso.sandbox.files import file_address
from compasso.sandbox.import_rows import KEYS, ImportRows, import_rules
from compasso.sandbox.records import Records
from compasso.sandbox.settings import MAX_QUEUED_IMPORTS, SandboxSettings
from compasso.sandbox.store import Account, iso, new_id

_DONE = {"finished", "error", "cancelled"}


class Imports:
    """The account's imports. Time does the work: each look brings them up to now."""

    def __init__(self, account: Account, records: Records, settings: SandboxSettings) -> None:
        self.account = account
        self.records = records
        self.settings = settings
        self.stuck = self.failed = 0  # the next imports that a fault concerns
        self._under_way: dict[str, ImportRows] = {}
        known = account.list("imports")
        self._open = [i["id"] for i in known if i["status"] not in _DONE]
        self._free_at = max((i.get("_finished", 0.0) for i in known), default=0.0)

    def create(self, form: Mapping[str, str], content: bytes) -> dict[str, Any]:
        """POST /imports/. Raises 400 E0401, 422."""
        options = self._options(form)
        self.advance()
        waiting = [self.account.records["imports"][identity] for identity in self._open]
        if sum(1 for i in waiting if i["status"] == "queued") >= MAX_QUEUED_IMPORTS:
            raise ApiError(400, "There are already 10 queued imports.", code="E0401")
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise invalid([("file", "The file is not UTF-8")]) from None
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=str(options["delimiter"]))
        try:
            header = next(rows, None)
            problem = self._header_problem(form["type"], header or [])
            total = sum(1 for row in rows if row)
        except csv.Error as error:
            problem = f"The file is not CSV: {error}"
        if problem:
            raise invalid([("file", problem)])
        most = self.settings.behaviour.max_import_rows
        if most is not None and total > most:
            raise invalid([("file", f"The file has more than {most} rows")])
        now = self.settings.clock()
        record: dict[str, Any] = {
            "id": new_id(),
            "type": form["type"],
            "status": "queued",
            "origin": "api",
            "total": total,
            "success": 0,
            "errors": 0,
            "options": options,
            "createdAt": iso(now),
            "_created": now,
        }
        if self.stuck > 0:
            self.stuck -= 1
            record["_stuck"] = True
        if self.failed > 0:
            self.failed -= 1
            record["_failed"] = True
        with self.account.transaction():
            self.account.put_file(f"imports/{record['id']}", content)
            self.account.put("imports", [record])
        self._open.append(record["id"])
        self.advance()
        return self.account.records["imports"][record["id"]]

    def _options(self, form: Mapping[str, str]) -> dict[str, Any]:
        problems = []
        if form.get("type") not in {"contacts", "products", "coupons"}:
            problems.append(("type", "Value is not valid"))
        for name in ("overrideExisting", "updateOnlyEmptyFields"):
            if form.get(name) not in {"true", "false"}:
                problems.append((name, "Value is not valid"))
        if form.get("delimiter") not in {",", ";"}:
            problems.append(("delimiter", "Value is not valid"))
        only_empty = form.get("updateOnlyEmptyFields") == "true"
        if only_empty and form.get("overrideExisting") != "true":
            problems.append(("updateOnlyEmptyFields", "Needs overrideExisting"))
        more = {}
        if form.get("type") == "coupons":
            more = {"couponSetId": form.get("couponSetId", "")}
            coupon_set = self.account.get("coupon_sets", more["couponSetId"])
            if coupon_set is None:
                problems.append(("couponSetId", "Value is not valid"))
            elif coupon_set["type"] != "multiple":
                problems.append(("couponSetId", "The set has a single code"))
        elif "couponSetId" in form:
            problems.append(("couponSetId", "Goes with coupons, and only with them"))
        if problems:
            raise invalid(problems)
        return {
            "delimiter": form["delimiter"],
            "overrideExisting": form["overrideExisting"] == "true",
            "updateOnlyEmptyFields": only_empty,
            **more,
        }

    def _header_problem(self, kind: str, header: list[str]) -> str | None:
        if not header:
            return "The file has no header"
        if not set(KEYS[kind]) & set(header):
            return f"The file has none of the columns {', '.join(KEYS[kind])}"
        if len(set(header)) < len(header):
            return "Two columns have the same name"
        rules = import_rules(self.records, kind)
        unknown = [h for h in header if h not in rules and h not in KEYS[kind]]
        if unknown and self.settings.behaviour.unknown_header_is_error:
            return f"Unknown columns: {', '.join(unknown)}"
        required = {"productDetailUrl", "name", "unitPrice"} if kind == "products" else set()
        missing = required - set(header)
        return f"Missing columns: {', '.join(sorted(missing))}" if missing else None

    def advance(self) -> None:
        """Bring every import to where it is now: first come, first served."""
        now = self.settings.clock()
        while self._open:
            record = self.account.records["imports"][self._open[0]]
            start = max(record["_created"], self._free_at)
            if start > now:  # the clock was set back: it begins now
                start = self._free_at = now
                record = {**record, "_created": now}
            seconds = max(
                self.settings.import_min_seconds,
                record["total"] / self.settings.import_rows_per_second,
            )
            done = min(1.0, (now - start) / seconds) if seconds > 0 else 1.0
            changed = dict(record)
            if record["status"] == "queued":
                changed |= {"status": "inProgress", "startedAt": iso(start)}
            if record.get("_failed"):
                changed |= {"status": "error"} if done >= 1 else {}
            elif not record.get("_stuck"):
                changed |= self._work(record, done)
            if changed["status"] in _DONE:
                changed |= {"finishedAt": iso(start + seconds), "_finished": start + seconds}
            if changed != self.account.records["imports"][record["id"]]:
                self.account.put("imports", [changed])
            if changed["status"] not in _DONE:
                break
            self._open.pop(0)
            self._free_at = start + seconds
            self._under_way.pop(record["id"], None)
            self.account.drop_file(f"imports/{record['id']}")

    def delete(self, record: Mapping[str, Any]) -> None:
        """Forget an import that has ended."""
        self.account.remove("imports", record)
        self.account.drop_file(f"reports/{record['id']}")

    def _work(self, record: Mapping[str, Any], share: float) -> dict[str, Any]:
        """Take the file's rows up to a share of it; what changes in the import."""
        identity = record["id"]
        if identity not in self._under_way:
            text = self.account.files[f"imports/{identity}"].decode("utf-8-sig")
            self._under_way[identity] = ImportRows(
                self.account, self.records, self.settings, record, text
            )
        taken = record["success"] + record["errors"]
        wanted = record["total"] if share >= 1 else int(record["total"] * share)
        success, failed = self._under_way[identity].take(wanted - taken)
        changed: dict[str, Any] = {
            "success": record["success"] + success,
            "errors": record["errors"] + len(failed),
        }
        if failed:
            name = f"reports/{identity}"
            head = [] if record.get("_report") else [self._under_way[identity].report_header]
            out = io.StringIO()
            csv.writer(out).writerows([*head, *failed])
            before = self.account.files.get(name, b"")
            self.account.put_file(name, before + out.getvalue().encode())
            changed["_report"] = True
        return changed | ({"status": "finished"} if share >= 1 else {})

    def view(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """An import as the API shows it."""
        shown = {k: v for k, v in record.items() if not k.startswith("_")}
        if record.get("_report") and record["status"] in _DONE:
            identity = record["id"]
            shown["errorReportFileUrl"] = file_address(
                self.account,
                self.settings.address,
                f"reports/{identity}",
                f"import-errors-{identity}.csv",
                self.settings.clock(),
            )
        return shown
