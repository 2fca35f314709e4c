"""Addresses of files: signed, so that they need no key, and dead after a while.

Each look at an export makes a new one, which lives 100 minutes (documented, D10). For the error
report of an import the same is a guess.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from urllib.parse import quote

from compasso.sandbox.settings import EXPORT_URL_SECONDS
from compasso.sandbox.store import Account


def _secret(account: Account) -> bytes:
    """Kept with the account, so that an address outlives a restart."""
    store = account.get("store", "store") or {"id": "store"}
    if "secret" not in store:
        store = {**store, "secret": secrets.token_hex(16)}
        account.put("store", [store])
    return bytes.fromhex(store["secret"])


def _signature(account: Account, name: str, expires: str, nonce: str) -> str:
    text = f"{name}\n{expires}\n{nonce}".encode()
    return hmac.new(_secret(account), text, hashlib.sha256).hexdigest()[:32]


def file_address(account: Account, base: str, name: str, shown_as: str, now: float) -> str:
    """A new address of a kept file."""
    expires, nonce = str(int(now) + EXPORT_URL_SECONDS), secrets.token_hex(4)
    signature = _signature(account, name, expires, nonce)
    query = f"file={quote(name, safe='')}&expires={expires}&nonce={nonce}&signature={signature}"
    return f"{base}/_sandbox/files/{quote(shown_as)}?{query}"


def opens(
    account: Account, now: float, name: str, expires: str, nonce: str, signature: str
) -> bool:
    """Whether an address is one of ours and still alive."""
    wanted = _signature(account, name, expires, nonce)
    return hmac.compare_digest(wanted.encode(), signature.encode()) and now < float(expires)
