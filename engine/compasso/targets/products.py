"""Products of the shop's catalogue, by the shop's own id (API facts: section 4)."""

from __future__ import annotations

from urllib.parse import quote

from compasso.model import ApiCall, Change, Operation
from compasso.schemas import load_schema
from compasso.targets.base import Target, schema_fields


def _call(change: Change, key_field: str) -> ApiCall:
    """PATCH creates or changes in part; the id stands only in the path (documented)."""
    path = "/products/product-id/" + quote(change.key, safe="")
    if change.operation is Operation.DELETE:
        return ApiCall("DELETE", path)
    return ApiCall("PATCH", path, {k: v for k, v in change.fields.items() if k != key_field})


def _read(key: str, _key_field: str) -> ApiCall:
    """GET by the shop's own id (D7)."""
    return ApiCall("GET", "/products/product-id/" + quote(key, safe=""))


TARGET = Target(
    name="products",
    label="product",
    rank=1,
    keys=("productId",),
    schema=load_schema("products"),
    fields=schema_fields("products"),
    call=_call,
    read=_read,
    import_type="products",
    import_required=("productDetailUrl", "name", "unitPrice"),
    required=tuple(load_schema("products")["required"]),
    import_date="%Y-%m-%dT%H:%M:%SZ",
    retired={"availability": "outofstock"},
)
