"""The OpenAPI 3.1 description of the simulated API, made from the endpoints' declarations."""

from __future__ import annotations

from typing import Any

from compasso.sandbox.endpoint import Endpoint, Schema
from compasso.sandbox.endpoints import areas
from compasso.sandbox.sandbox import Sandbox

_PROBLEM = {
    "type": "object",
    "properties": {
        "status": {"type": "integer"},
        "title": {"type": "string"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "productIds": {"type": "array", "items": {"type": "string"}},
        "allowedDomains": {"type": "array", "items": {"type": "string"}},
        "validationErrors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {n: {"type": "string"} for n in ("name", "path", "reason")},
                "required": ["name", "path", "reason"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["status", "title", "detail"],
    "additionalProperties": False,
}
_WORDS = {
    200: "Done", 201: "Created", 204: "Done, no body", 400: "Malformed, or against a rule",
    401: "The key is not accepted", 403: "The key lacks a permission", 404: "Not found",
    413: "Too large", 415: "Wrong content type", 422: "A value is not valid",
    429: "Rate limit reached",
}  # fmt: skip
_NO_JSON = {401, 429}  # documented: no JSON resource


def openapi(sandbox: Sandbox) -> dict[str, Any]:
    """The description of this account's API: contacts have its own fields."""
    paths: dict[str, dict[str, Any]] = {}
    schemas: dict[str, Schema] = {"HttpError": _PROBLEM}
    for area in areas():
        schemas |= area.schemas
        if area.live_schemas is not None:
            schemas |= area.live_schemas(sandbox)
        for endpoint in area.endpoints:
            operation = {"tags": [area.title], **_operation(endpoint)}
            paths.setdefault(endpoint.public_path, {})[endpoint.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Connectif, as Compasso simulates it",
            "version": "1",
            "description": "Not official. x-evidence says how each endpoint is known.",
        },
        "servers": [{"url": sandbox.settings.address}],
        "security": [{"apiKey": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "apiKey": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "apiKey ID:SECRET",
                }
            },
        },
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": operation_id(endpoint),
        "summary": endpoint.summary,
        "x-evidence": endpoint.evidence.value,
        "x-source": endpoint.source,
        "parameters": _parameters(endpoint),
        "responses": {str(status): _response(endpoint, status) for status in endpoint.statuses},
    }
    if endpoint.body is not None:
        content = {endpoint.body_type: {"schema": endpoint.body}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def operation_id(endpoint: Endpoint) -> str:
    """A name of its own: patch_contacts_email."""
    words = [part.strip("{}") for part in endpoint.public_path.strip("/").split("/")]
    return "_".join([endpoint.method.lower(), *words]).replace("-", "_")


def _parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    text = {"type": "string", "minLength": 1}
    in_path = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": endpoint.path_schemas.get(name, text),
        }
        for name in endpoint.path_parameters
    ]
    in_query = [
        {
            "name": parameter.name,
            "in": "query",
            "required": False,
            "description": parameter.description,
            "schema": parameter.schema,
        }
        for parameter in endpoint.query
    ]
    return in_path + in_query


def _response(endpoint: Endpoint, status: int) -> dict[str, Any]:
    response: dict[str, Any] = {"description": _WORDS[status]}
    if status in endpoint.responses:
        schema = endpoint.responses[status]
        if schema is not None:
            response["content"] = {"application/json": {"schema": schema}}
    elif status in _NO_JSON:
        response["content"] = {"text/plain": {"schema": {"type": "string"}}}
    else:
        error = {"$ref": "#/components/schemas/HttpError"}
        response["content"] = {"application/json": {"schema": error}}
    return response
