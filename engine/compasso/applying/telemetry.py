"""Logs, traces and metrics of an apply, without anything personal or secret in them.

Logs are lines on stderr, for people or as JSON. Traces and metrics go through the OpenTelemetry
API alone (extra `otel`): without it, or without an SDK that the host has set up, they are
nothing. What a request is called is its method and its collection, never its path.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from compasso.applying.result import ApplyResult, Progress
from compasso.connectif import Seen

LOGGER = logging.getLogger("compasso")
# Without it Python prints the bare words of warnings when nobody asked for a log.
LOGGER.addHandler(logging.NullHandler())
LEVELS = ("debug", "info", "warning", "error")


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        body: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        return json.dumps(body, ensure_ascii=False, default=str)


class _TextLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", {})
        at = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        rest = " ".join(f"{name}={value}" for name, value in fields.items())
        return f"{at} {record.levelname.lower()} {record.getMessage()} {rest}".rstrip()


def start_logging(form: str, level: str) -> None:
    """Write logs of this level and above to stderr, as `text` or `json` lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines() if form == "json" else _TextLines())
    LOGGER.handlers[:] = [handler]
    LOGGER.setLevel(level.upper())
    LOGGER.propagate = False


def log(level: int, event: str, **fields: Any) -> None:
    """One line of the log."""
    LOGGER.log(level, event, extra={"fields": fields})


class Telemetry:
    """Follows one apply: give `request` to the client, `progress` to the apply."""

    def __init__(self) -> None:
        self._last: Progress | None = None
        self._rejected = 0
        try:
            from opentelemetry import metrics, trace
        except ImportError:
            self._tracer = self._requests = self._records = self._seconds = None
            return
        meter = metrics.get_meter("compasso")
        self._tracer = trace.get_tracer("compasso")
        self._requests = meter.create_counter(
            "compasso.requests", "1", "Requests to Connectif, by name and status"
        )
        self._seconds = meter.create_histogram(
            "compasso.request.duration", "s", "How long an answer took"
        )
        self._records = meter.create_counter("compasso.records", "1", "Records by sync and outcome")

        def gauge(name: str, words: str, read: Callable[[Progress], int]) -> None:
            def observe(_options: object) -> list[metrics.Observation]:
                return [] if self._last is None else [metrics.Observation(read(self._last))]

            meter.create_observable_gauge(name, [observe], "1", words)

        gauge("compasso.budget.used", "Requests of the last minute", lambda p: p.budget_used)
        gauge("compasso.budget.limit", "Requests a minute for us", lambda p: p.budget_limit)
        gauge("compasso.backlog", "Records left", lambda p: p.total - p.done - p.failed)

    def request(self, seen: Seen) -> None:
        """A request was sent."""
        seconds = seen.ended - seen.started
        fields: dict[str, Any] = {"request": seen.name, "status": seen.status}
        if seen.error:
            fields["error"] = seen.error
        bad = seen.status is None or seen.status == 429 or seen.status >= 500
        log(
            logging.WARNING if bad else logging.DEBUG, "request", **fields,
            milliseconds=round(seconds * 1000),
        )  # fmt: skip
        if self._tracer is None or self._requests is None or self._seconds is None:
            return
        status = str(seen.status or seen.error)
        self._requests.add(1, {"request": seen.name, "status": status})
        self._seconds.record(seconds, {"request": seen.name})
        span = self._tracer.start_span(
            seen.name,
            start_time=int(seen.started * 1e9),
            attributes={"http.request.method": seen.name.split(" ", 1)[0], "status": status},
        )
        span.end(int(seen.ended * 1e9))

    def progress(self, progress: Progress) -> None:
        """How far the apply is."""
        self._last = progress

    def ended(self, result: ApplyResult, rejected: int) -> None:
        """The apply is over."""
        for sync in result.syncs:
            log(
                logging.WARNING if sync.failed else logging.INFO, "sync ended", run=result.run_id,
                sync=sync.name, applied=sync.applied, failed=sync.failed, left=sync.skipped,
            )  # fmt: skip
            if self._records is not None:
                counts = {"applied": sync.applied, "failed": sync.failed, "left": sync.skipped}
                for outcome, count in counts.items():
                    self._records.add(count, {"sync": sync.name, "outcome": outcome})
        if self._records is not None and rejected:
            self._records.add(rejected, {"outcome": "rejected"})
        log(
            logging.WARNING if result.stopped or result.failed else logging.INFO,
            "apply stopped" if result.stopped else "apply ended", run=result.run_id,
            applied=result.applied, failed=result.failed, left=result.skipped, rejected=rejected,
            requests=result.requests, seconds=round(result.seconds, 2), reason=result.reason,
        )  # fmt: skip
