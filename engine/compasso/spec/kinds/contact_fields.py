"""`kind: contact-fields`: the account's own contact fields."""

from __future__ import annotations

from collections.abc import Mapping

from compasso.model import Diagnostic, Json
from compasso.spec.build import build_contact_fields
from compasso.spec.document import Document
from compasso.spec.shapes import ContactFieldsShape
from compasso.spec.types import ContactFieldSpec

SHAPE = ContactFieldsShape


def build(
    shape: ContactFieldsShape,
    spec: Document,
    variables: Mapping[str, Json],
    problems: list[Diagnostic],
) -> list[ContactFieldSpec]:
    """The fields that the spec declares."""
    return build_contact_fields(shape, spec, problems)
