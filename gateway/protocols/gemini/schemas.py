"""Gemini's own kind of schema as the usual JSON schema, and names in either of the vendor's spellings.

    {"type": "OBJECT", "properties": {"n": {"type": "INTEGER", "nullable": true}}, "propertyOrdering": ["n"]}
    {"type": "object", "properties": {"n": {"type": ["integer", "null"]}}}

The vendor takes names in camel case and in snake case alike, as its manual writes them; free JSON is left as it is.
Source: google-genai (Python) 3.4.0 `Schema`; protobuf's JSON mapping; read 2026-11.
"""

from typing import Any

from gateway.protocols.gemini.wire import Json

FREE = frozenset(
    {"args", "response", "parameters", "parametersJsonSchema", "responseSchema", "responseJsonSchema", "labels"}
)
"""Fields whose value has names of the client's own."""

COUNTS = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})
"""Numbers that may be written as texts, as protobuf's JSON writes long ones."""

UNKNOWN_ELSEWHERE = frozenset({"propertyOrdering", "nullable"})


def camel(value: Any) -> Any:
    """A request with all its own names in camel case."""
    if isinstance(value, dict):
        named = [(_camel_name(name), inner) for name, inner in value.items()]
        return {name: inner if name in FREE else camel(inner) for name, inner in named}
    return [camel(inner) for inner in value] if isinstance(value, list) else value


def _camel_name(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


def as_json_schema(schema: Json) -> Json:
    named = {_camel_name(name) if not name.startswith("$") else name: value for name, value in schema.items()}
    converted = {name: _convert(name, value) for name, value in named.items() if name not in UNKNOWN_ELSEWHERE}
    if converted.get("format") == "enum":
        del converted["format"]
    if converted.get("type") == "type_unspecified":
        del converted["type"]
    if named.get("nullable") is True:
        return _nullable(converted)
    return converted


def _convert(name: str, value: Any) -> Any:
    if name == "type" and isinstance(value, str):
        return value.lower()
    if name in COUNTS and isinstance(value, str) and value.isdecimal() and value.isascii():
        return int(value[:18])
    if name in {"items", "additionalProperties"} and isinstance(value, dict):
        return as_json_schema(value)
    if name in {"properties", "$defs", "defs"} and isinstance(value, dict):
        return {key: as_json_schema(inner) if isinstance(inner, dict) else inner for key, inner in value.items()}
    if name in {"anyOf", "prefixItems"} and isinstance(value, list):
        return [as_json_schema(inner) if isinstance(inner, dict) else inner for inner in value]
    return value


def _nullable(schema: Json) -> Json:
    if isinstance(schema.get("type"), str):
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}
