"""Imports: a queue of CSV files, worked off one at a time (API facts: section 7)."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

from compasso.sandbox import coupons
from compasso.sandbox.errors import ApiError, invalid
from compasso.sandbox.fields import PRODUCT, CellError, FieldRule, check_value, read_cell
from compasso.sandbox.files import file_address
from compasso.sandbox.records import Records
from compasso.sandbox.settings import MAX_QUEUED_IMPORTS, SandboxSettings
from compasso.sandbox.store import Account, iso, new_id

_KEYS = {
    "contacts": ("_externalId", "_email"),
    "products": ("productId",),
    "coupons": ("code",),
}
_DONE = {"finished", "error", "cancelled"}


class Imports:
    """The account's imports. Time does the work: each look brings them up to now."""

    def __init__(self, account: Account, records: Records, settings: SandboxSettings) -> None:
        self.account = account
        self.records = records
        self.settings = settings
        self.stuck = self.failed = 0  # the next imports that a fault concerns
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
        if not set(_KEYS[kind]) & set(header):
            return f"The file has none of the columns {', '.join(_KEYS[kind])}"
        if len(set(header)) < len(header):
            return "Two columns have the same name"
        rules = self._rules(kind)
        unknown = [h for h in header if h not in rules and h not in _KEYS[kind]]
        if unknown and self.settings.behaviour.unknown_header_is_error:
            return f"Unknown columns: {', '.join(unknown)}"
        required = {"productDetailUrl", "name", "unitPrice"} if kind == "products" else set()
        missing = required - set(header)
        return f"Missing columns: {', '.join(sorted(missing))}" if missing else None

    def _rules(self, kind: str) -> dict[str, FieldRule]:
        if kind == "coupons":
            return {}
        return self.records.contact_rules() if kind == "contacts" else dict(PRODUCT)

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
            changed = dict(record)
            if record["status"] == "queued":
                changed |= {"status": "inProgress", "startedAt": iso(start)}
            if now >= start + seconds and not record.get("_stuck"):
                changed |= self._finish(record, start + seconds)
            if changed != self.account.records["imports"][record["id"]]:
                self.account.put("imports", [changed])
            if changed["status"] not in _DONE:
                break
            self._open.pop(0)
            self._free_at = start + seconds
            self.account.drop_file(f"imports/{record['id']}")

    def delete(self, record: Mapping[str, Any]) -> None:
        """Forget an import that has ended."""
        self.account.remove("imports", record)
        self.account.drop_file(f"reports/{record['id']}")

    def _finish(self, record: Mapping[str, Any], at: float) -> dict[str, Any]:
        end = {"finishedAt": iso(at), "_finished": at}
        if record.get("_failed"):
            return {"status": "error", **end}
        text = self.account.files[f"imports/{record['id']}"].decode("utf-8-sig")
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
            self.account.put_file(f"reports/{record['id']}", out.getvalue().encode())
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
        seen: set[tuple[str, ...]] = set()
        for row in rows:
            if not row:
                continue
            try:
                self._check_repeated(kind, header, row, seen)
                changed = self._row(kind, header, row, rules, options)
            except (CellError, ApiError) as error:
                if not errors:
                    errors.append([*header, "error"])
                errors.append([*row, _reason(error)])
                continue
            success += 1
            if changed is not None:
                # A later row of the same file must see it, so it is known at once.
                self.account.stage(kind, changed)
                batch[changed["id"]] = changed
        self.account.put(kind, batch.values())
        if kind == "coupons" and batch:
            at = self.settings.clock()
            coupons.count(self.account, options["couponSetId"], at, quantity=len(batch))
        return success

    def _check_repeated(
        self, kind: str, header: list[str], row: list[str], seen: set[tuple[str, ...]]
    ) -> None:
        if self.settings.behaviour.repeated_key_in_import != "error":
            return
        cells = dict(zip(header, row, strict=False))
        key = tuple(cells.get(name, "") for name in _KEYS[kind])
        if key in seen:
            raise CellError(f"{' or '.join(_KEYS[kind])}: Value is in the file before")
        seen.add(key)

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
        if kind == "coupons":
            return coupons.new_code(self.account, options["couponSetId"], cells[key])
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
            and (reason := check_value(rules["_email"], cells["_email"].strip()))
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
                if self.settings.behaviour.kept_existing_counts_as == "error":
                    raise CellError(f"{key}: Value exists already")
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
            identity = record["id"]
            shown["errorReportFileUrl"] = file_address(
                self.account,
                self.settings.address,
                f"reports/{identity}",
                f"import-errors-{identity}.csv",
                self.settings.clock(),
            )
        return shown


def _reason(error: Exception) -> str:
    return error.reasons if isinstance(error, ApiError) else str(error)
