"""The part of JSON Schema that the description uses, applied."""

import re
from datetime import datetime

from mailrelay.api.description import DESCRIPTION

KINDS = {"object": dict, "array": list, "integer": int, "number": (int, float), "boolean": bool}


def schema_of(path: str, method: str, status: int) -> dict:
    (answer,) = DESCRIPTION["paths"][path][method]["responses"][str(status)]["content"].values()
    name = answer["schema"].get("$ref", "").rpartition("/")[2]
    return DESCRIPTION["components"]["schemas"][name] if name else answer["schema"]


def conforms(value, schema) -> bool:
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if value is None:
        return "null" in kinds
    if "enum" in schema:
        return value in schema["enum"]
    kind = next(one for one in kinds if one != "null")
    if kind == "object":
        return _conforms_object(value, schema)
    if kind == "array":
        return isinstance(value, list) and all(conforms(item, schema["items"]) for item in value)
    if kind in KINDS:
        return isinstance(value, KINDS[kind]) and (kind == "boolean" or value >= schema.get("minimum", value))
    if schema.get("format") == "date-time":
        return datetime.fromisoformat(value).tzinfo is not None
    return isinstance(value, str) and bool(re.search(schema.get("pattern", ""), value))


def _conforms_object(value, schema) -> bool:
    if "properties" not in schema:
        return all(conforms(part, schema["additionalProperties"]) for part in value.values())
    known = schema["properties"]
    whole = set(schema["required"]) <= set(value) <= set(known)
    return whole and all(conforms(part, known[name]) for name, part in value.items())
