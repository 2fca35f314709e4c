"""Every guess is a switch: what the account does by default, and what with the switch turned."""

import dataclasses
import io
import zipfile

import httpx
import pytest

from compasso.sandbox.settings import Behaviour

PRODUCT = {"productId": "P", "name": "N", "unitPrice": 1, "productDetailUrl": "https://s.es/1"}
PURCHASE = {
    "purchaseId": "A",
    "contactEmail": "ana@x.es",
    "totalPrice": 1,
    "totalQuantity": 1,
    "products": [{"productId": "P", "quantity": 1, "price": 1}],
}
FIELD = {"id": "size", "name": "Size", "type": "text", "required": False}
ANA = "/contacts/ana@x.es"
NOWHERE = "0" * 24


def status(method, path, **more):
    return lambda account: account.api.request(method, path, **more).status_code


def patched(body, then):
    """PATCH a contact, and look at it: its status, or one of its fields."""

    def act(account):
        account.api.patch(ANA, json={"_name": "Ana"})
        answer = account.api.patch(ANA, json=body)
        found = account.api.get(ANA).json()
        return answer.status_code if then == "status" else found.get(then)

    return act


def refused(read):
    """The answer to a request above the limit."""

    def act(account):
        rule = {"kind": "rate_limit_storm"}
        account.api.post("/_sandbox/faults", json=rule)
        return read(account.api.get("/store"))

    return act


def count_refused(account):
    account.api.post("/_sandbox/faults", json={"kind": "rate_limit_storm"})
    account.api.get("/store")
    used = account.api.get("/_sandbox/status").json()["budget"]["used"]
    return used > 100_000


def sliding(account):
    account.api.get("/store")
    account.pass_time(50)
    account.api.get("/store")
    account.pass_time(20)
    return int(account.api.get("/store").headers["X-RateLimit-Remaining"])


def collision(account):
    account.api.patch(ANA, json={"_externalId": "7"})
    return account.api.patch("/contacts/eva@x.es", json={"_externalId": "7"}).status_code


def folded(account):
    account.api.patch("/contacts/Ana@X.es", json={})
    return account.api.get(ANA).status_code


def field_status(account):
    return account.api.post("/contact-fields/", json=FIELD).json().get("status")


def purchase(body):
    def act(account):
        account.seed(contacts=[{"_email": "ana@x.es"}], products=[PRODUCT])
        return account.api.post("/purchases/", json=body).status_code

    return act


def repeated_purchase(account):
    purchase(PURCHASE)(account)
    return account.api.post("/purchases/", json=PURCHASE).status_code


def listed(read):
    def act(account):
        account.seed(workflows=[{"name": f"W{i}"} for i in range(60)])
        return read(account.api)

    return act


def imported(text, read, **fields):
    def act(account):
        account.api.patch(ANA, json={"_name": "Ana"})
        answer = account.upload("contacts", text, **fields)
        if answer.status_code != 201:
            return answer.status_code
        account.pass_time(60)
        return account.api.get(f"/imports/{answer.json()['id']}").json()[read]

    return act


def exported(read):
    def act(account):
        field = {**FIELD, "type": "checkbox", "options": [{"id": i, "label": i} for i in "ab"]}
        account.seed(contact_fields=[field], contacts=[{"_email": "ana@x.es", "size": ["a", "b"]}])
        body = {"exportType": "contacts", "delimiter": ",", "dateFormat": "ISO"}
        identity = account.api.post("/exports/", json=body).json()["id"]
        account.pass_time(60)
        url = account.api.get(f"/exports/{identity}").json()["fileUrl"]
        archive = zipfile.ZipFile(io.BytesIO(httpx.get(url).content))
        return read(archive.read(archive.namelist()[0]))

    return act


def deleted_contact(account):
    account.api.patch(ANA, json={})
    account.api.delete(ANA)
    first = account.api.get(ANA).status_code
    account.pass_time(10)
    return first, account.api.get(ANA).status_code


def coupon_lag(account):
    made = account.seed(coupon_sets=[{"name": "S", "type": "multiple"}])
    identity = made["coupon_sets"][0]
    account.imported("coupons", "code\nA\n", couponSetId=identity)
    account.pass_time(11)
    return account.api.get(f"/coupon-sets/{identity}").json()["available"]


WITHOUT_TOTAL = {n: v for n, v in PURCHASE.items() if n != "totalPrice"}
WITHOUT_PRICE = {**PURCHASE, "products": [{"productId": "P", "quantity": 1}]}
NAMES = "_email,_name\nana@x.es,Eva\n"

# switch: (its other value, what is done, what it gives by default, and with the other value)
TABLE = {
    "retry_after": (False, refused(lambda a: "Retry-After" in a.headers), True, False),
    "reset_is_delta": (
        True, refused(lambda a: int(a.headers["X-RateLimit-Reset"]) < 100), False, True,
    ),
    "sliding_window": (True, sliding, 99_999, 99_998),
    "count_refused": (False, count_refused, True, False),
    "refusal_is_json": (
        True, refused(lambda a: a.headers["content-type"].split(";")[0]),
        "text/plain", "application/json",
    ),
    "create_status": (201, status("PATCH", ANA, json={}), 200, 201),
    "post_status": (200, status("POST", "/contact-fields/", json=FIELD), 201, 200),
    "missing_delete_status": (204, status("DELETE", ANA), 404, 204),
    "missing_purchase_delete_status": (
        404, status("DELETE", "/purchases/purchase-id/x"), 204, 404,
    ),
    "malformed_id_status": (404, status("GET", "/workflows/x"), 400, 404),
    "collision_status": (409, collision, 422, 409),
    "null_clears": (False, patched({"_name": None}, "status"), 200, 422),
    "empty_text_clears": (True, patched({"_name": ""}, "_name"), "", None),
    "unknown_key_is_error": (False, patched({"nope": 1}, "status"), 422, 200),
    "read_only_key_is_error": (False, patched({"_totalPurchases": 9}, "status"), 422, 200),
    "unknown_query_is_error": (False, status("GET", "/workflows/?x=1"), 422, 200),
    "fold_email": (False, folded, 200, 404),
    "max_text_length": (3, patched({"_surname": "Lopez"}, "status"), 200, 422),
    "field_status": ("active", field_status, None, "active"),
    "repeated_purchase": ("replay", repeated_purchase, 422, 200),
    "purchase_required": (("purchaseId", "products"), purchase(WITHOUT_TOTAL), 422, 201),
    "purchase_item_required": (("productId",), purchase(WITHOUT_PRICE), 422, 201),
    "page_parameter": ("p", listed(lambda a: a.get("/workflows?p=2").status_code), 422, 200),
    "page_size_parameter": (
        "limit", listed(lambda a: a.get("/workflows?limit=2").status_code), 422, 200,
    ),
    "page_size": (5, listed(lambda a: len(a.get("/workflows").json()["results"])), 20, 5),
    "max_page_size": (
        30, listed(lambda a: len(a.get("/workflows?pageSize=60").json()["results"])), 50, 30,
    ),
    "newest_first": (
        False, listed(lambda a: a.get("/workflows").json()["results"][0]["name"]), "W59", "W0",
    ),
    "unknown_header_is_error": (True, imported("_email,x\na@x.es,1\n", "success"), 1, 422),
    "zero_integer_in_import": (False, imported("_email,_points\na@x.es,0\n", "success"), 1, 0),
    "max_import_rows": (1, imported("_email\na@x.es\nb@x.es\n", "success"), 2, 422),
    "repeated_key_in_import": (
        "error", imported("_email\na@x.es\na@x.es\n", "errors"), 0, 1,
    ),
    "kept_existing_counts_as": (
        "error", imported(NAMES, "errors", overrideExisting="false"), 0, 1,
    ),
    "export_headers": ("labels", exported(lambda c: b"_email" in c), True, False),
    "export_bom": (False, exported(lambda c: c[:3] == b"\xef\xbb\xbf"), True, False),
    "export_crlf": (True, exported(lambda c: b"\r\n" in c), False, True),
    "export_list_separator": (";", exported(lambda c: b"a;b" in c), False, True),
    "contact_deletion_seconds": (5.0, deleted_contact, (404, 404), (200, 404)),
    "coupon_counter_seconds": (1e6, coupon_lag, 1, 0),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLE)
def test_a_switch_changes_what_the_account_does(open_account, name):
    other, act, by_default, turned = TABLE[name]
    assert act(open_account()) == by_default
    assert act(open_account(**{name: other})) == turned


def test_every_switch_is_under_test():
    assert set(TABLE) == {field.name for field in dataclasses.fields(Behaviour)}


def test_switches_are_read_from_the_words_of_the_command_line():
    read = Behaviour.from_words(
        {
            "fold_email": "false",
            "create_status": "201",
            "max_import_rows": "7",
            "contact_deletion_seconds": "2",
            "repeated_purchase": "replay",
            "purchase_required": "purchaseId,products",
            "export_list_separator": ";",
        }
    )
    assert (read.fold_email, read.create_status, read.max_import_rows) == (False, 201, 7)
    assert (read.contact_deletion_seconds, read.repeated_purchase) == (2.0, "replay")
    assert (read.purchase_required, read.export_list_separator) == (("purchaseId", "products"), ";")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"fold": "true"}, "no switch 'fold'"),
        ({"fold_email": "no"}, "true or false"),
        ({"create_status": "many"}, "is a number"),
        ({"repeated_purchase": "ignore"}, "refuse, replay, duplicate"),
    ],
)
def test_a_switch_that_cannot_be_is_told(compasso, words, message):
    [(name, value)] = words.items()
    ran = compasso("sandbox", "--port", "0", "--behaviour", f"{name}={value}")
    assert ran.code != 0
    assert message in ran.err
