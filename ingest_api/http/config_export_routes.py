"""A config in the forms that a tenant's developers use: JSON Schema, Avro, a page to read, types of their language."""

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query
from starlette.responses import PlainTextResponse, Response

from ingest_api.deps import HttpDeps
from ingest_api.http.answers import encode
from ingest_api.http.config_describe import document, text
from ingest_api.http.config_params import Scenario, Tenant, Version
from ingest_api.http.config_routes import ONE, ROOT, TAG, add_call
from tracking_configs.exports import LANGUAGES
from tracking_configs.exports.avro import event_avro
from tracking_configs.exports.markdown import docs_page
from tracking_configs.json_schema import event_schema

SCHEMA_JSON: Final = "application/schema+json"
MARKDOWN: Final = "text/markdown"

Language = Literal["python", "typescript", "kotlin", "swift"]


def config_export_router(deps: HttpDeps) -> APIRouter:
    router = APIRouter(tags=[TAG], prefix=ROOT)
    service = deps.config_service

    async def schema_json(tenant: Tenant, scenario: Scenario, version: Version = None) -> Response:
        config = await service.get(tenant, scenario, version)
        return Response(encode(event_schema(config)), media_type=SCHEMA_JSON)

    async def schema_avsc(tenant: Tenant, scenario: Scenario, version: Version = None) -> Response:
        config = await service.get(tenant, scenario, version)
        return Response(encode(event_avro(config)), media_type="application/json")

    async def docs(tenant: Tenant, scenario: Scenario, version: Version = None) -> Response:
        return PlainTextResponse(docs_page(await service.get(tenant, scenario, version)), media_type=MARKDOWN)

    async def types(
        tenant: Tenant,
        scenario: Scenario,
        lang: Annotated[Language, Query(description="of the client")] = "typescript",
        version: Version = None,
    ) -> Response:
        return PlainTextResponse(LANGUAGES[lang](await service.get(tenant, scenario, version)))

    schema_answer = document("JSON Schema 2020-12 of this scenario's events", {"type": "object"}, SCHEMA_JSON)
    avro_answer = document("Avro schema of this scenario's events", {"type": "record", "name": "Event", "fields": []})
    docs_answer = text(MARKDOWN, "# Vlog feed\n", "A page for the tenant's developers")
    types_answer = text("text/plain", "export interface Event {}\n", "Types for a client, as source text")
    add_call(router, "GET", ONE + "/schema.json", schema_json, "The events' JSON Schema", schema_answer, 404)
    add_call(router, "GET", ONE + "/schema.avsc", schema_avsc, "The events' Avro schema", avro_answer, 404)
    add_call(router, "GET", ONE + "/docs", docs, "A page for the tenant's developers", docs_answer, 404)
    add_call(router, "GET", ONE + "/types", types, "The events' types in a client's language", types_answer, 404)
    return router
