"""Purchases: created and deleted, never changed."""

from __future__ import annotations

from typing import Required, TypedDict

from compasso.connectif.api.calls import Area, record_path


class PurchaseLine(TypedDict, total=False):
    """One product of a purchase (D8). Which properties are required is a guess."""

    productId: Required[str]
    quantity: Required[int]
    price: Required[float]  # of the whole line (H19)
    unitPrice: float
    name: str
    productDetailUrl: str
    imageUrl: str
    thumbnailUrl: str
    description: str
    brand: str
    categories: list[str]
    tags: list[str]
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


class PurchaseCreate(TypedDict, total=False):
    """A new purchase (D8), with contactEmail or contactExternalId (D2, C4)."""

    purchaseId: Required[str]
    cartId: str
    contactEmail: str
    contactExternalId: str
    purchaseDate: str
    totalPrice: Required[float]
    totalQuantity: Required[int]  # units, not lines
    paymentMethod: str
    products: Required[list[PurchaseLine]]


class KnownPurchaseLine(PurchaseLine, total=False):
    """One product of a purchase as GET shows it (D8)."""

    id: str


class Purchase(TypedDict, total=False):
    """A purchase as GET shows it (D8)."""

    id: Required[str]
    purchaseId: Required[str]
    cartId: str
    contactId: str
    contactEmail: str
    purchaseDate: str
    totalPrice: float
    totalQuantity: int
    paymentMethod: str
    products: list[KnownPurchaseLine]
    createdAt: str
    updatedAt: str


class Purchases(Area):
    """Purchases. Each is called by `purchase_id` (the store's) or `id` (Connectif's)."""

    async def get(
        self,
        purchase_id: str | None = None,
        *,
        id: str | None = None,
    ) -> Purchase | None:
        """GET /purchases/purchase-id/{id} or /purchases/{id} (D8). None where there is none."""
        found: Purchase | None = await self._read(record_path("purchase", purchase_id, id))
        return found

    async def create(self, purchase: PurchaseCreate, *, trigger_event: bool = True) -> Purchase:
        """POST /purchases/?triggerPurchaseEvent= (D8). `trigger_event=False` for history loads.

        Raises Refused: 422, or 400 with code E0101 (contact unknown), E0102 (products unknown:
        details["productIds"]) or E0103 (address outside the store's domains). Raises LostAnswer:
        then look with `get` whether it is there before it is sent again. What a repeated
        purchaseId does is not known.
        """
        query = {"triggerPurchaseEvent": "true" if trigger_event else "false"}
        made: Purchase = await self._create("/purchases/", purchase, query)
        return made

    async def delete(
        self,
        purchase_id: str | None = None,
        *,
        id: str | None = None,
    ) -> None:
        """DELETE /purchases/purchase-id/{id} (D16) or /purchases/{id} (H8, C4).

        It makes the contact's and products' sums again (H8). Its page lists no 404, so whether
        there was one is not told.
        """
        await self._remove(record_path("purchase", purchase_id, id))
