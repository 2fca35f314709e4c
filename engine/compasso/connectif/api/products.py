"""Products, by the store's id or by Connectif's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Required, TypedDict

from compasso.connectif.api.calls import Area, record_path
from compasso.model import Json


class ProductFields(TypedDict, total=False):
    """What PATCH takes (D7). A new product needs name, productDetailUrl and unitPrice (H6)."""

    name: str
    productDetailUrl: str
    unitPrice: float
    description: str
    imageUrl: str
    thumbnailUrl: str
    brand: str
    categories: list[str]
    tags: list[str]
    relatedExternalProductIds: list[str]
    availability: Literal["instock", "outofstock", "unverified", "discontinued"]
    inStockUnits: int
    isBlacklisted: bool
    priority: int
    unitPriceOriginal: float
    unitPriceWithoutVAT: float
    discountedAmount: float
    discountedPercentage: float
    rating: float
    ratingCount: int
    reviewCount: int
    publishedAt: str
    customField1: str
    customField2: str
    customField3: str


class Product(ProductFields, total=False):
    """A product as GET shows it (D7). Dates are ISO 8601 text."""

    id: Required[str]
    productId: Required[str]
    createdAt: str
    updatedAt: str


class Products(Area):
    """Products. Each is called by `product_id` (the store's) or `id` (Connectif's)."""

    async def get(
        self,
        product_id: str | None = None,
        *,
        id: str | None = None,
    ) -> Product | None:
        """GET /products/product-id/{id} or /products/{id} (D7, C4). None where there is none."""
        found: Product | None = await self._read(record_path("product", product_id, id))
        return found

    async def patch(self, product_id: str, fields: ProductFields | Mapping[str, Json]) -> Product:
        """PATCH /products/product-id/{id} (D7): create it, or change what `fields` name.

        `availability` can be set to instock and outofstock only. Raises Refused: 422, or 400
        E0201 where productDetailUrl is outside the store's domains.
        """
        changed: Product = await self._change(record_path("product", product_id, None), fields)
        return changed

    async def delete(
        self,
        product_id: str | None = None,
        *,
        id: str | None = None,
    ) -> bool:
        """DELETE /products/product-id/{id} or /products/{id} (H17, C4).

        The product's history is lost for good (H11). Answers whether there was one.
        """
        return await self._remove(record_path("product", product_id, id))
