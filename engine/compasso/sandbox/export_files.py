"""The CSV files inside an export's ZIP.

What is known: one or more CSVs, a byte order mark, option ids instead of labels, a second file of
products beside activities, reports with every cell quoted. The columns of contacts and activities
are a guess: field ids for contacts (section 11 of the API facts).
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from compasso.sandbox.definitions import list_fields
from compasso.sandbox.records import Records
from compasso.sandbox.settings import Behaviour
from compasso.sandbox.store import Record

Table = list[list[Any]]
_EPOCH_ZIP = (1980, 1, 1, 0, 0, 0)
# v5 adds these (documented, H20); how their columns are called is a guess.
_SINCE_V5 = (
    "_newsletterLastSubscriptionDate",
    "_newsletterLastSubscriptionIp",
    "_newsletterLastSubscriptionOrigin",
    "_newsletterLastUnsubscriptionOrigin",
    "_creationOrigin",
)


def _since(body: Mapping[str, Any], version: int) -> bool:
    return int(str(body.get("version", "v1"))[1:]) >= version


def written_date(text: str, style: str) -> str:
    """A date in one of the styles of the API, which are those of moment.js in English."""
    if style == "ISO":
        return text
    try:
        found = datetime.fromisoformat(text.upper())
    except ValueError:
        return text
    if found.tzinfo is not None:
        found = found.astimezone(UTC)
    if style == "L":
        return found.strftime("%m/%d/%Y")
    day = f"{found:%B} {found.day}, {found.year}"
    return day if style == "LL" else f"{day} {found.hour % 12 or 12}:{found:%M %p}"


def members(records: Records, segment_id: str | None) -> list[Record]:
    """The contacts of a segment; all of them without one."""
    contacts = records.account.list("contacts")
    if segment_id is None:
        return contacts
    segment = records.account.records["segments"][segment_id]
    keys, where = set(segment.get("contacts", ())), segment.get("where")
    return [
        c
        for c in contacts
        if {c.get("_email"), c.get("_externalId"), c["id"]} & keys
        or (where is not None and all(c.get(n) == v for n, v in where.items()))
    ]


def contact_rows(records: Records, body: Mapping[str, Any]) -> Table:
    """A contacts file: a header and a row for each contact of the segment."""
    behaviour = records.settings.behaviour
    fields = [
        f for f in list_fields(records.account) if _since(body, 3) or f["id"] != "_externalId"
    ]
    dated = {f["id"] for f in fields if f["type"] == "date" or f["id"].endswith(("At", "Date"))}
    names = ["id", *(f["id"] for f in fields), *(_SINCE_V5 if _since(body, 5) else ())]
    header = names
    if behaviour.export_headers == "labels":
        labels = {f["id"]: f["name"] for f in fields}
        header = [labels.get(name, name) for name in names]
    rows: Table = [header]
    for contact in members(records, body["filters"].get("segmentId")):
        cells = (_cell(contact.get(name), behaviour) for name in names)
        rows.append(
            [
                written_date(cell, body["dateFormat"]) if name in dated and cell else cell
                for name, cell in zip(names, cells, strict=True)
            ]
        )
    return rows


def _cell(value: Any, behaviour: Behaviour) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return behaviour.export_list_separator.join(map(str, value))
    return str(value)


_ACTIVITY = ("activityId", "activityType", "date", "contactId", "email")
_PURCHASE = ("purchaseId", "cartId", "totalPrice", "totalQuantity", "paymentMethod")
_EVENT = ("customEventAlias", "customEventFields")
_PRODUCT = ("activityId", "productId", "name", "quantity", "unitPrice", "price")


def activity_rows(records: Records, body: Mapping[str, Any]) -> tuple[Table, Table]:
    """An activities file, and the file of the products of its purchases."""
    account, filters = records.account, body["filters"]
    inside = _inside(filters)
    wanted = set(filters.get("activityTypes", ()))
    people = None
    if filters.get("segmentId") is not None:
        people = {c["id"] for c in members(records, filters["segmentId"])}
    external = ("externalId",) if _since(body, 3) else ()
    names = (*_ACTIVITY, *external, *_PURCHASE, *_EVENT)
    found = [a for a in _activities(records) if inside(a["date"])]
    found = [a for a in found if not wanted or a["activityType"] in wanted]
    found = [a for a in found if people is None or a["contactId"] in people]
    found.sort(key=lambda activity: activity["date"])
    rows: Table = [list(names)]
    lines: Table = [list(_PRODUCT)]
    for activity in found:
        contact = account.get("contacts", activity["contactId"] or "") or {}
        known = {**activity, "externalId": contact.get("_externalId", "")}
        known["date"] = written_date(activity["date"], body["dateFormat"])
        rows.append([known.get(name, "") for name in names])
        for product in activity.get("products", ()):
            line = {"activityId": activity["activityId"], **product}
            lines.append([line.get(name, "") for name in _PRODUCT])
    return rows, lines


def _activities(records: Records) -> Iterable[dict[str, Any]]:
    account = records.account
    for contact in account.list("contacts"):
        yield {
            "activityId": f"{contact['id']}-created",
            "activityType": "contact-created",
            "date": contact["_createdAt"],
            "contactId": contact["id"],
            "email": contact.get("_email", ""),
        }
    for purchase in account.list("purchases"):
        yield {
            **purchase,
            "activityId": purchase["id"],
            "activityType": "purchase",
            "date": purchase["purchaseDate"],
            "contactId": purchase.get("contactId"),
            "email": purchase.get("contactEmail", ""),
        }
    for event in account.list("events"):
        yield {
            "activityId": event["id"],
            "activityType": "custom-event",
            "date": event["createdAt"],
            "contactId": event["contactId"],
            "email": event["contactEmail"],
            "customEventAlias": event["alias"],
            "customEventFields": "|".join(f"{n}={v}" for n, v in event["fields"].items()),
        }


def _inside(filters: Mapping[str, Any]) -> Callable[[str], bool]:
    begin, end = _utc(filters["fromDate"]), _utc(filters["toDate"])
    if len(filters["toDate"]) == 10:  # a plain date means the whole day (a guess)
        end = end.replace(hour=23, minute=59, second=59, microsecond=999_999)
    return lambda text: begin <= _utc(text) <= end


def _utc(text: str) -> datetime:
    found = datetime.fromisoformat(text.upper())
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


_REPORT = ("year", "month", "day", "numberOfPurchases", "totalPurchaseAmount")


def report_rows(records: Records, body: Mapping[str, Any]) -> Table:
    """A report of the data explorer. All reports here count the purchases of each day (UTC)."""
    filters = body["filters"]
    number: Counter[str] = Counter()
    amount: Counter[str] = Counter()
    for purchase in records.account.list("purchases"):
        day = f"{_utc(purchase['purchaseDate']):%Y-%m-%d}"
        if filters["fromDate"] <= day <= filters["toDate"]:
            number[day] += 1
            amount[day] += purchase["totalPrice"]
    days = sorted(number)
    return [
        list(_REPORT),
        *([*(int(p) for p in day.split("-")), number[day], f"{amount[day]:.2f}"] for day in days),
    ]


def zipped(export: Record, main: Table, second: Table, behaviour: Behaviour) -> bytes:
    """The ZIP of an export; activities bring the file of their products with them."""
    out = io.BytesIO()
    report = export["exportType"] == "data-explorer"
    files = [(f"{export['fileName']}.csv", main)]
    if export["exportType"] == "activities":
        files.append((f"{export['fileName']}-products.csv", second))
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, rows in files:
            text = io.StringIO()
            ending = "\r\n" if behaviour.export_crlf else "\n"
            writer = csv.writer(
                text,
                delimiter=export["delimiter"],
                quoting=csv.QUOTE_ALL if report else csv.QUOTE_MINIMAL,
                lineterminator=ending,
            )
            writer.writerows(rows)
            mark = "\ufeff" if behaviour.export_bom else ""
            content = (mark + text.getvalue()).encode()
            archive.writestr(zipfile.ZipInfo(name, _EPOCH_ZIP), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()
