"""The spec language's JSON Schemas, made from the shapes that the loader itself uses."""

from __future__ import annotations

from typing import Any

_DRAFT = "https://json-schema.org/draft/2020-12/schema"


def spec_schema() -> dict[str, Any]:
    """The schema of a spec file, of any kind."""
    from compasso.spec.kinds import kind_names, load_kind

    definitions: dict[str, Any] = {}
    kinds = []
    for shape in (load_kind(name).SHAPE for name in kind_names()):
        schema = shape.model_json_schema()
        definitions |= schema.pop("$defs", {})
        definitions[shape.__name__] = schema
        kinds.append({"$ref": f"#/$defs/{shape.__name__}"})
    return {
        "$schema": _DRAFT,
        "title": "A spec of Compasso",
        "oneOf": kinds,
        "$defs": definitions,
    }


def project_schema() -> dict[str, Any]:
    """The schema of compasso.yml."""
    from compasso.spec.shapes import ProjectShape

    return {"$schema": _DRAFT, **ProjectShape.model_json_schema()}
