"""Exports: the queue, the file's address, and what is in the file (API facts: section 8)."""

import csv
import io
import zipfile

import httpx
import pytest

CONTACTS = {"exportType": "contacts", "delimiter": ",", "dateFormat": "ISO"}
ACTIVITIES = {
    **CONTACTS,
    "exportType": "activities",
    "filters": {"fromDate": "2023-11-01T00:00:00.000Z", "toDate": "2023-11-30T00:00:00.000Z"},
}
PRODUCT = {"productId": "P1", "name": "Shoe", "unitPrice": 10, "productDetailUrl": "https://s.es/1"}
PURCHASE = {
    "purchaseId": "A-1",
    "contactEmail": "ana@x.es",
    "purchaseDate": "2023-11-05T20:30:00.000Z",
    "totalPrice": 20.0,
    "totalQuantity": 2,
    "products": [{"productId": "P1", "quantity": 2, "price": 20.0}],
}


@pytest.fixture
def shop(account):
    return filled(account)


def filled(account):
    field = {"id": "sports", "name": "Sports", "type": "checkbox", "required": False}
    field["options"] = [{"id": "t", "label": "Tennis"}, {"id": "p", "label": "Padel"}]
    account.seed(
        contact_fields=[field],
        contacts=[
            {"_email": "ana@x.es", "_externalId": "7", "sports": ["t", "p"]},
            {"_email": "eva@x.es", "_emailStatus": "active", "_birthdate": "1978-08-25"},
        ],
        products=[PRODUCT],
        purchases=[PURCHASE],
    )
    return account


def exported(account, body, path="/exports/"):
    """Ask for an export, let its time pass; its files by the end of their names."""
    created = account.api.post(path, json=body)
    assert created.status_code == 201, created.text
    account.pass_time(60)
    done = account.api.get(f"/exports/{created.json()['id']}").json()
    assert done["status"] == "finished"
    assert done["fileExtension"] == "zip"
    archive = zipfile.ZipFile(io.BytesIO(httpx.get(done["fileUrl"]).content))
    return {n.removeprefix(done["fileName"]): archive.read(n) for n in archive.namelist()}


def table(content, delimiter=","):
    text = content.decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter))


def test_an_export_waits_works_and_ends(shop):
    created = shop.api.post("/exports/", json=CONTACTS).json()
    assert created["status"] in {"queued", "inProgress"}
    assert (created["progress"], created["total"], created["version"]) == (0, 2, "v1")
    assert "fileUrl" not in created
    shop.pass_time(0.25)
    assert shop.api.get(f"/exports/{created['id']}").json()["progress"] == 1
    shop.pass_time(60)
    [done] = shop.api.get("/exports").json()["results"]
    assert (done["status"], done["progress"], done["origin"]) == ("finished", 2, "api")


def test_each_look_gives_a_new_address_that_needs_no_key_and_dies_after_100_minutes(shop):
    identity = shop.api.post("/exports/", json=CONTACTS).json()["id"]
    shop.pass_time(60)
    first, second = (shop.api.get(f"/exports/{identity}").json()["fileUrl"] for _ in range(2))
    assert first != second
    assert httpx.get(first).content == httpx.get(second).content
    shop.pass_time(99 * 60)
    assert httpx.get(first).status_code == 200
    shop.pass_time(61)
    assert httpx.get(first).status_code == 403
    assert httpx.get(shop.api.get(f"/exports/{identity}").json()["fileUrl"]).status_code == 200
    assert httpx.get(second.replace("signature=", "signature=0")).status_code == 403


def test_a_contacts_file_has_field_ids_option_ids_and_a_byte_order_mark(shop):
    content = exported(shop, CONTACTS)[".csv"]
    assert content.startswith(b"\xef\xbb\xbf")
    assert b"\r" not in content
    ana, eva = table(content)
    assert (ana["_email"], ana["sports"]) == ("ana@x.es", "t|p")
    assert (eva["_emailStatus"], eva["sports"]) == ("active", "")
    assert "_externalId" not in ana


def test_later_versions_have_more_columns(shop):
    [ana, _] = table(exported(shop, {**CONTACTS, "version": "v3"})[".csv"])
    assert ana["_externalId"] == "7"
    fifth = table(exported(shop, {**CONTACTS, "version": "v5"})[".csv"])[0]
    assert set(fifth) > set(ana)


@pytest.mark.parametrize(
    ("style", "born"),
    [
        ("ISO", "1978-08-25"),
        ("L", "08/25/1978"),
        ("LL", "August 25, 1978"),
        ("LLL", "August 25, 1978 12:00 AM"),
    ],
)
def test_dates_are_written_in_the_style_that_was_asked_for(shop, style, born):
    [_, eva] = table(exported(shop, {**CONTACTS, "dateFormat": style})[".csv"])
    assert eva["_birthdate"] == born


def test_a_segment_chooses_who_is_in_the_file(shop):
    made = shop.seed(
        segments=[
            {"name": "Active", "where": {"_emailStatus": "active"}},
            {"name": "One", "contacts": ["7"]},
        ]
    )["segments"]
    for identity, email in zip(made, ["eva@x.es", "ana@x.es"], strict=True):
        body = {**CONTACTS, "filters": {"segmentId": identity}}
        assert [c["_email"] for c in table(exported(shop, body)[".csv"])] == [email]
    body = {**CONTACTS, "filters": {"segmentId": "nope"}}
    answer = shop.api.post("/exports/", json=body)
    assert answer.json()["validationErrors"] == [
        {"name": "segmentId", "path": "/filters/segmentId", "reason": "Value is not valid"}
    ]


def test_activities_bring_a_second_file_of_products(shop):
    files = exported(shop, {**ACTIVITIES, "delimiter": ";", "dateFormat": "LLL"})
    assert set(files) == {".csv", "-products.csv"}
    rows = table(files[".csv"], ";")
    [purchase] = [r for r in rows if r["activityType"] == "purchase"]
    assert (purchase["purchaseId"], purchase["date"]) == ("A-1", "November 5, 2023 8:30 PM")
    assert sum(r["activityType"] == "contact-created" for r in rows) == 2
    [line] = table(files["-products.csv"], ";")
    assert (line["activityId"], line["productId"]) == (purchase["activityId"], "P1")


def test_activities_can_be_chosen_by_type(shop):
    filters = {**ACTIVITIES["filters"], "activityTypes": ["purchase"]}
    rows = table(exported(shop, {**ACTIVITIES, "filters": filters})[".csv"])
    assert [r["activityType"] for r in rows] == ["purchase"]


def test_a_report_has_every_cell_quoted(shop):
    [report] = shop.seed(reports=[{"name": "Sales"}])["reports"]
    body = {"delimiter": ","}
    body["filters"] = {"reportId": report, "fromDate": "2023-11-01", "toDate": "2023-12-01"}
    content = exported(shop, body, "/exports/type/data-explorer")[".csv"]
    assert content.decode("utf-8-sig").splitlines() == [
        '"year","month","day","numberOfPurchases","totalPurchaseAmount"',
        '"2023","11","5","1","20.00"',
    ]


@pytest.mark.parametrize(
    ("filters", "path"),
    [
        ({"fromDate": "2023-11-01", "toDate": "2023-12-03"}, "/filters/toDate"),
        ({"fromDate": "2023-11-02", "toDate": "2023-11-01"}, "/filters/toDate"),
        ({"fromDate": "2023-11-02"}, "/filters/toDate"),
        ({"fromDate": "soon", "toDate": "2023-11-01"}, "/filters/fromDate"),
        ({"segmentId": 7}, "/filters/segmentId"),
    ],
)
def test_a_range_is_31_days_at_most_and_filters_are_checked(shop, filters, path):
    answer = shop.api.post("/exports/", json={**ACTIVITIES, "filters": filters})
    assert answer.status_code == 422
    assert path in {e["path"] for e in answer.json()["validationErrors"]}


def test_more_than_five_waiting_exports_are_refused(shop):
    shop.api.post("/_sandbox/faults", json={"kind": "export_stuck"})
    for _ in range(6):  # one is under way, five wait
        assert shop.api.post("/exports/", json=CONTACTS).status_code == 201
    answer = shop.api.post("/exports/", json=CONTACTS)
    assert (answer.status_code, answer.json()["code"]) == (400, "E0301")


def test_an_export_may_fail_and_its_file_may_die_early(shop):
    shop.api.post("/_sandbox/faults", json={"kind": "export_failed"})
    failed = shop.api.post("/exports/", json=CONTACTS).json()["id"]
    shop.pass_time(60)
    assert shop.api.get(f"/exports/{failed}").json()["status"] == "error"
    identity = shop.api.post("/exports/", json=CONTACTS).json()["id"]
    shop.pass_time(60)
    url = shop.api.get(f"/exports/{identity}").json()["fileUrl"]
    shop.api.post("/_sandbox/faults", json={"kind": "expired_file"})
    assert [httpx.get(url).status_code for _ in range(2)] == [403, 200]


def test_a_deleted_export_takes_its_file_with_it(shop):
    identity = shop.api.post("/exports/", json=CONTACTS).json()["id"]
    shop.pass_time(60)
    url = shop.api.get(f"/exports/{identity}").json()["fileUrl"]
    assert shop.api.delete(f"/exports/{identity}").status_code == 204
    assert httpx.get(url).status_code == 403
    assert shop.api.get(f"/exports/{identity}").status_code == 404
    assert shop.api.delete(f"/exports/{identity}").status_code == 404


def test_labels_line_ends_and_the_byte_order_mark_are_switches(open_account):
    shop = filled(open_account(export_headers="labels", export_bom=False, export_crlf=True))
    content = exported(shop, CONTACTS)[".csv"]
    assert content.startswith(b"id,email,")
    assert b"Sports" in content.splitlines()[0]
    assert b"\r\n" in content
