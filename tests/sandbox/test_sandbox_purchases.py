"""Purchases of the simulated account, over HTTP (API facts: sections 5 and 9.3)."""

import pytest

PRODUCT = {"productId": "P1", "name": "Shoe", "unitPrice": 10, "productDetailUrl": "https://s.es/1"}
LINE = {"productId": "P1", "quantity": 2, "price": 20.0}
PURCHASE = {
    "purchaseId": "A-1",
    "contactEmail": "ana@x.es",
    "purchaseDate": "2024-03-01T10:00:00.000Z",
    "totalPrice": 20.0,
    "totalQuantity": 2,
    "products": [LINE],
}


@pytest.fixture
def shop(account):
    account.seed(contacts=[{"_email": "ana@x.es", "_externalId": "7"}], products=[PRODUCT])
    return account


def test_a_purchase_is_found_by_both_ids_and_has_its_products_ids(shop):
    created = shop.api.post("/purchases/", json=PURCHASE)
    assert created.status_code == 201
    purchase = created.json()
    assert purchase["contactEmail"] == "ana@x.es"
    assert purchase["products"][0]["id"] == shop.dump("products")[0]["id"]
    assert shop.api.get(f"/purchases/{purchase['id']}").json() == purchase
    assert shop.api.get("/purchases/purchase-id/A-1").json() == purchase


@pytest.mark.parametrize(("query", "heard"), [("", True), ("?triggerPurchaseEvent=false", False)])
def test_whether_workflows_hear_of_it_is_on_record(shop, query, heard):
    assert shop.api.post(f"/purchases/{query}", json=PURCHASE).status_code == 201
    assert [p["purchaseEventTriggered"] for p in shop.dump("purchases")] == [heard]


def test_a_buyer_can_be_named_by_external_id(shop):
    body = {**PURCHASE, "contactExternalId": "7"}
    del body["contactEmail"]
    assert shop.api.post("/purchases", json=body).json()["contactEmail"] == "ana@x.es"


def test_the_contacts_sums_follow_its_purchases(shop):
    shop.api.post("/purchases/", json=PURCHASE)
    later = {**PURCHASE, "purchaseId": "A-2", "totalPrice": 5.5}
    later["purchaseDate"] = "2024-04-01T10:00:00.000Z"
    shop.api.post("/purchases/", json=later)
    ana = shop.api.get("/contacts/ana@x.es").json()
    assert (ana["_totalPurchases"], ana["_totalPurchasesAmount"]) == (2, 25.5)
    assert ana["_averagePurchasesAmount"] == 12.75
    assert ana["_firstPurchaseDate"] == PURCHASE["purchaseDate"]
    assert ana["_lastPurchaseDate"] == later["purchaseDate"]
    assert shop.api.delete("/purchases/purchase-id/A-2").status_code == 204
    assert shop.api.get("/contacts/ana@x.es").json()["_totalPurchasesAmount"] == 20
    identity = shop.dump("purchases")[0]["id"]
    assert shop.api.delete(f"/purchases/{identity}").status_code == 204
    ana = shop.api.get("/contacts/ana@x.es").json()
    assert (ana["_totalPurchases"], ana["_averagePurchasesAmount"]) == (0, 0)
    assert "_lastPurchaseDate" not in ana


def test_the_business_errors_have_their_codes_and_extra_fields(open_account):
    shop = open_account({"authorised_domains": ("s.es",)})
    shop.seed(contacts=[{"_email": "ana@x.es"}], products=[PRODUCT])
    post = shop.api.post
    unknown = post("/purchases/", json={**PURCHASE, "contactEmail": "eva@x.es"})
    assert (unknown.status_code, unknown.json()["code"]) == (400, "E0101")
    lines = [LINE, {**LINE, "productId": "P9"}]
    missing = post("/purchases/", json={**PURCHASE, "products": lines})
    assert (missing.status_code, missing.json()["code"]) == (400, "E0102")
    assert missing.json()["productIds"] == ["P9"]
    lines = [{**LINE, "productDetailUrl": "https://other.es/1"}]
    foreign = post("/purchases/", json={**PURCHASE, "products": lines})
    assert (foreign.status_code, foreign.json()["code"]) == (400, "E0103")
    assert foreign.json()["allowedDomains"] == ["s.es"]
    assert len(foreign.json()["productIds"]) == 1
    assert shop.dump("purchases") == []


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"totalPrice": "20"}, "/totalPrice"),
        ({"products": []}, "/products"),
        ({"products": [{**LINE, "quantity": 0}]}, "/products/0/quantity"),
        ({"products": [{**LINE, "availability": "instock"}]}, "/products/0/availability"),
        ({"purchaseDate": "yesterday"}, "/purchaseDate"),
        ({"contactEmail": "ana"}, "/contactEmail"),
        ({"colour": "red"}, "/colour"),
        ({"purchaseId": None}, "/purchaseId"),
    ],
)
def test_a_wrong_value_is_422_with_its_path(shop, change, path):
    answer = shop.api.post("/purchases/", json={**PURCHASE, **change})
    assert answer.status_code == 422
    assert [e["path"] for e in answer.json()["validationErrors"]] == [path]


def test_no_contact_at_all_is_422(shop):
    body = {n: v for n, v in PURCHASE.items() if n != "contactEmail"}
    assert shop.api.post("/purchases/", json=body).status_code == 422


@pytest.mark.parametrize(
    ("switch", "status", "kept"), [("refuse", 422, 1), ("replay", 200, 1), ("duplicate", 201, 2)]
)
def test_a_repeated_purchase_id_is_a_switch(open_account, switch, status, kept):
    shop = open_account(repeated_purchase=switch)
    shop.seed(contacts=[{"_email": "ana@x.es"}], products=[PRODUCT], purchases=[PURCHASE])
    assert shop.api.post("/purchases/", json=PURCHASE).status_code == status
    assert len(shop.dump("purchases")) == kept


def test_ids_that_are_none_and_purchases_that_are_not_there(shop):
    assert shop.api.get("/purchases/abc").status_code == 400
    assert shop.api.get(f"/purchases/{'0' * 24}").status_code == 404
    assert shop.api.get("/purchases/purchase-id/abc").status_code == 404
    assert shop.api.delete("/purchases/purchase-id/abc").status_code == 204


def test_a_deleted_contact_leaves_its_purchases(shop):
    shop.api.post("/purchases/", json=PURCHASE)
    shop.api.delete("/contacts/email/ana%40x.es")
    assert len(shop.dump("purchases")) == 1
    assert shop.api.delete("/purchases/purchase-id/A-1").status_code == 204


def test_a_body_of_another_type_or_size_is_refused(shop):
    headers = {"Content-Type": "text/plain"}
    assert shop.api.post("/purchases/", content=b"{}", headers=headers).status_code == 415
    big = b"[" + b"0," * 26_300_000 + b"0]"
    headers = {"Content-Type": "application/json"}
    assert shop.api.post("/purchases/", content=big, headers=headers).status_code == 413
