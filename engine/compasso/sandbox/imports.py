"""Imports: a queue of CSV files, worked off one at a time (API facts: section 7)."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

from compasso.sandbox.errors import ApiError, invalid
from compasso.sandbox.fields import PRODUCT, CellError, FieldRule, read_cell
from compasso.sandbox.records import Records
from compasso.sandbox.settings import MAX_QUEUED_IMPORTS, SandboxSettings
from compasso.sandbox.store import Account, iso, new_id

_KEYS = {"contacts": ("_externalId", "_email"), "products": ("productId",)}
_DONE = {"finished", "error", "cancelled"}


class Imports:
    """The account's imports. Time does the work: each look brings them up to now."""

    def __init__(self, account: Account, records: Records, settings: SandboxSettings) -> None:
        self.account = account
        self.records = records
        self.settings = settings
        self.files: dict[str, str] = {}
        self.reports: dict[str, str] = {}
        self.stuck = self.failed = 0  # the next imports that a fault concerns

    def create(self, form: Mapping[str, str], content: bytes) -> dict[str, Any]:
        """POST /imports/. Raises 400 E0401, 422."""
        options = self._options(form)
        self.advance()
        waiting = [i for i in self.account.list("imports") if i["status"] == "queued"]
        if len(waiting) >= MAX_QUEUED_IMPORTS:
            raise ApiError(400, "There are already 10 queued imports.", code="E0401")
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise invalid([("file", "The file is not UTF-8")]) from None
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=str(options["delimiter"]))
        header = next(rows, None)
        problem = self._header_problem(form["type"], header or [])
        if problem:
            raise invalid([("file", problem)])
        now = self.settings.clock()
        record: dict[str, Any] = {
            "id": new_id(),
            "type": form["type"],
            "status": "queued",
            "origin": "api",
            "total": sum(1 for row in rows if row),
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
        self.files[record["id"]] = text
        self.account.put("imports", [record])
        self.advance()
        return record

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
        if form.get("type") == "coupons":
            problems.append(("type", "Coupons are not simulated yet"))
        if problems:
            raise invalid(problems)
        return {
            "delimiter": form["delimiter"],
            "overrideExisting": form["overrideExisting"] == "true",
            "updateOnlyEmptyFields": only_empty,
        }

    def _header_problem(self, kind: str, header: list[str]) -> str | None:
        if not header:
            return "The file has no header"
        if not set(_KEYS[kind]) & set(header):
            return f"The file has none of the columns {', '.join(_KEYS[kind])}"
        rules = self._rules(kind)
        unknown = [h for h in header if h not in rules and h not in _KEYS[kind]]
        if unknown and self.settings.behaviour.unknown_header_is_error:
            return f"Unknown columns: {', '.join(unknown)}"
        required = {"productDetailUrl", "name", "unitPrice"} if kind == "products" else set()
        missing = required - set(header)
        return f"Missing columns: {', '.join(sorted(missing))}" if missing else None

    def _rules(self, kind: str) -> dict[str, FieldRule]:
        return self.records.contact_rules() if kind == "contacts" else dict(PRODUCT)

    def advance(self) -> None:
        """Bring every import to where it is now: first come, first served."""
        now = self.settings.clock()
        free_at = 0.0
        for record in self.account.list("imports"):
            if record["status"] in _DONE:
                free_at = max(free_at, record.get("_finished", 0.0))
                continue
            start = max(record["_created"], free_at)
            seconds = max(
                self.settings.import_min_seconds,
                record["total"] / self.settings.import_rows_per_second,
            )
            free_at = start + seconds
            if now < start:
                break
            changed = dict(record)
            if record["status"] == "queued":
                changed |= {"status": "inProgress", "startedAt": iso(start)}
            if now >= free_at and not record.get("_stuck"):
                changed |= self._finish(record, free_at)
            if changed != record:
                self.account.put("imports", [changed])
            if changed["status"] not in _DONE:
                break

    def _finish(self, record: Mapping[str, Any], at: float) -> dict[str, Any]:
        end = {"finishedAt": iso(at), "_finished": at}
        text = self.files.pop(record["id"], None)
        if record.get("_failed") or text is None:  # a restart forgets files that wait
            return {"status": "error", **end}
        errors: list[list[str]] = []
        success = self._work(record, text, errors)
        done: dict[str, Any] = {
            "status": "finished",
            "success": success,
            "errors": len(errors) - 1 if errors else 0,
            **end,
        }
        if errors:
            out = io.StringIO()
            csv.writer(out).writerows(errors)
            self.reports[record["id"]] = out.getvalue()
            done["_report"] = True
        return done

    def _work(self, record: Mapping[str, Any], text: str, errors: list[list[str]]) -> int:
        """Take the rows of a file; the bad ones, with their reasons, go to `errors`."""
        options, kind = record["options"], record["type"]
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=options["delimiter"])
        header = next(rows)
        rules = self._rules(kind)
        success = 0
        batch: dict[str, dict[str, Any]] = {}
        for row in rows:
            if not row:
                continue
            try:
                changed = self._row(kind, header, row, rules, options)
            except (CellError, ApiError) as error:
                if not errors:
                    errors.append([*header, "error"])
                errors.append([*row, _reason(error)])
                continue
            success += 1
            if changed is not None:
                # A later row of the same file must see it, so it is known at once.
                self.account.records[kind][changed["id"]] = changed
                self.account.index(kind, changed)
                batch[changed["id"]] = changed
        self.account.put(kind, batch.values())
        return success

    def _row(
        self,
        kind: str,
        header: list[str],
        row: list[str],
        rules: Mapping[str, FieldRule],
        options: Mapping[str, Any],
    ) -> dict[str, Any] | None:
        if len(row) != len(header):
            raise CellError("The row has another number of cells than the header")
        cells = dict(zip(header, row, strict=True))
        key = next((k for k in _KEYS[kind] if cells.get(k)), None)
        if key is None:
            raise CellError(f"{' or '.join(_KEYS[kind])}: Value is required")
        zero = self.settings.behaviour.zero_integer_in_import
        fields = {}
        for name, cell in cells.items():
            rule = rules.get(name)
            if rule is None or name == key:
                continue
            try:
                value = read_cell(rule, cell, zero=zero)
            except CellError as error:
                raise CellError(f"{name}: {error}") from None
            if value is not None:  # an empty text cell leaves the field as it is (a guess)
                fields[name] = value
        if (
            kind == "contacts"
            and key == "_email"
            and (reason := _bad_email(rules["_email"], cells["_email"]))
        ):
            raise CellError(f"_email: {reason}")
        return self._merge(kind, key, cells[key], fields, options)

    def _merge(
        self,
        kind: str,
        key: str,
        value: str,
        fields: dict[str, Any],
        options: Mapping[str, Any],
    ) -> dict[str, Any] | None:
        records = self.records
        is_contact = kind == "contacts"
        found = records.contact(key, value) if is_contact else records.product(key, value)
        if found is not None:
            if not options["overrideExisting"]:
                return None
            if options["updateOnlyEmptyFields"]:
                fields = {n: v for n, v in fields.items() if found.get(n) in (None, "")}
        if is_contact:
            records.check_collision(fields, found)
            return records.merge_contact(key, value, fields, found)[0]
        return records.merge_product(value, fields, found)[0]

    def view(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """An import as the API shows it."""
        shown = {k: v for k, v in record.items() if not k.startswith("_")}
        if record.get("_report"):
            base = self.settings.address
            shown["errorReportFileUrl"] = f"{base}/_sandbox/error-reports/{record['id']}.csv"
        return shown


def _bad_email(rule: FieldRule, value: str) -> str | None:
    from compasso.sandbox.fields import check_value

    return check_value(rule, value.strip())


def _reason(error: Exception) -> str:
    if isinstance(error, ApiError):
        found = error.body.get("validationErrors")
        if found:
            return "; ".join(f"{p['name']}: {p['reason']}" for p in found)
    return str(error)
