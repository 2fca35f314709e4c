"""Tell a webhook that an apply failed, left failed records, or that rows were rejected.

The body holds counts and names of syncs, never a key, a value or a reason, which may be
personal. A webhook that fails never fails the apply.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compasso.spec import NotificationSettings

_TIMEOUT_SECONDS = 10.0


def news_of(
    settings: NotificationSettings,
    project: str,
    environment: str | None,
    document: Mapping[str, Any],
) -> dict[str, Any] | None:
    """The body to send, or None when there is nothing that the settings ask to hear of.

    `document` is the result of an apply, with `error` (a sentence) when it ended with one, and
    `rejected` (a count).
    """
    summary = document["summary"]
    events = []
    if document.get("error") or summary["failed"]:
        events.append("failure")
    if document.get("rejected"):
        events.append("rejects")
    told = [event for event in events if event in settings.on]
    if not told:
        return None
    state = "failed" if document.get("error") else "stopped" if document["stopped"] else "ended"
    text = (
        f"compasso apply of {project}{f' ({environment})' if environment else ''} {state}: "
        f"{summary['applied']:,} applied, {summary['failed']:,} failed, "
        f"{document.get('rejected', 0):,} rows rejected, {summary['skipped']:,} left"
    )
    return {
        "text": text,  # what chat tools show
        "events": told,
        "project": project,
        "environment": environment,
        "run_id": document["run_id"],
        "summary": dict(summary),
        "rejected": document.get("rejected", 0),
        "syncs": [dict(sync) for sync in document["syncs"]],
    }


def notify(settings: NotificationSettings, body: Mapping[str, Any]) -> str | None:
    """Send the news; answers a warning if that failed. The address is a secret: not in it."""
    import httpx

    if settings.webhook is None:
        return None
    try:
        response = httpx.post(settings.webhook.reveal(), json=dict(body), timeout=_TIMEOUT_SECONDS)
    except Exception as error:  # whatever it is, the apply is done
        return f"the webhook of notifications could not be told: {type(error).__name__}"
    if response.is_success:
        return None
    return f"the webhook of notifications answered {response.status_code}"
