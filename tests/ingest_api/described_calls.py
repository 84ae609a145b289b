"""The calls of an OpenAPI document, each made up from the examples that the document gives."""

from typing import Any, NamedTuple
from urllib.parse import quote

import httpx

Document = dict[str, Any]
JSON = "application/json"


class Call(NamedTuple):
    """One call; `statuses` are those that the document names, `body` is None where the call has none."""

    name: str
    method: str
    url: str
    params: dict[str, Any]
    body: Any
    statuses: frozenset[int]

    def request(self, door: httpx.Client | httpx.AsyncClient) -> httpx.Request:
        return door.build_request(self.method, self.url, params=self.params, json=self.body)


def operations(document: Document) -> dict[str, Document]:
    """By method and path, in the document's order."""
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def calls(document: Document) -> list[Call]:
    """Every call, with the examples of its body and of the parameters it needs."""
    return [_call(document, name, operation) for name, operation in operations(document).items()]


def body_examples(document: Document, content: Document) -> list[Any]:
    """The examples of a body, its own or else those of its schema."""
    if "example" in content:
        return [content["example"]]
    schema = resolved(document, content["schema"].get("anyOf", [content["schema"]])[0])
    return [schema["example"]] if "example" in schema else schema.get("examples", [])


def resolved(document: Document, schema: Document) -> Document:
    found = document
    for part in schema.get("$ref", "").removeprefix("#/").split("/"):
        found = found[part] if part else schema
    return found


def _call(document: Document, name: str, operation: Document) -> Call:
    method, url = name.split(" ", 1)
    params: dict[str, Any] = {}
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            url = url.replace(f"{{{parameter['name']}}}", quote(str(_example(parameter)), safe=""))
        elif parameter["in"] == "query" and parameter["required"]:
            params[parameter["name"]] = _example(parameter)
    content = operation.get("requestBody", {}).get("content", {}).get(JSON)
    body = body_examples(document, content)[0] if content else None
    return Call(name, method, url, params, body, frozenset(map(int, operation["responses"])))


def _example(parameter: Document) -> Any:
    return parameter["example"] if "example" in parameter else parameter["schema"]["examples"][0]
