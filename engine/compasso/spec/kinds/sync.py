"""`kind: sync`: which rows of a source become which records of a target."""

from __future__ import annotations

from collections.abc import Mapping

from compasso.model import Diagnostic, Json
from compasso.spec.build import build_sync
from compasso.spec.document import Document
from compasso.spec.shapes import SyncShape
from compasso.spec.types import Sync

SHAPE = SyncShape


def build(
    shape: SyncShape, spec: Document, variables: Mapping[str, Json], problems: list[Diagnostic]
) -> list[Sync]:
    """The sync, if nothing is wrong with it."""
    sync = build_sync(shape, spec, variables, problems)
    return [] if sync is None else [sync]
