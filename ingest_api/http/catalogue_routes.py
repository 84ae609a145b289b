"""The catalogue of items."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Header, Path, Request
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ingest_api.api_codes import ApiCode
from ingest_api.catalogue import Catalogue
from ingest_api.deps import HttpDeps
from ingest_api.errors import RequestRefused
from ingest_api.http.answers import JsonResponse
from ingest_api.http.error_handlers import issues
from ingest_api.http.openapi_parts import ISSUE_EXAMPLE, Schema, errors, json_body, ref
from ingest_api.http.strict_route import StrictRoute
from ingest_api.http.tenants import tenant_of
from ingest_api.item import ID_PATTERN, Item, ItemPut
from schemas.limits import MAX_ID
from schemas.verdict import Code, Issue

MAX_ITEMS = 1000

ItemIdPath = Annotated[str, Path(min_length=1, max_length=MAX_ID, pattern=ID_PATTERN, examples=["g7"])]
TenantHeader = Annotated[str | None, Header(alias="X-Tenant-ID", description="else the setting default_tenant")]
_item = TypeAdapter(Item)


class ItemsBody(BaseModel):
    """Up to 1,000 items; each is judged for itself."""

    model_config = ConfigDict(json_schema_extra={"example": {"items": [{"item_id": "g7", "name": "Seven"}]}})

    items: Annotated[list[Any], Field(min_length=1, max_length=MAX_ITEMS, json_schema_extra={"items": ref("Item")})]


_RECEIPT: Final[Schema] = json_body(
    ref("ItemsReceipt"),
    {
        "success": False,
        "total": 2,
        "succeeded": 1,
        "failed": 1,
        "errors": [{"index": 1, "item_id": "g8", "errors": [ISSUE_EXAMPLE | {"field": "name"}]}],
    },
    "What became of each item",
)


def catalogue_router(deps: HttpDeps) -> APIRouter:
    """GET and PUT of one item, POST of many."""
    router = APIRouter(prefix="/api/v1", tags=["catalogue"], route_class=StrictRoute)
    catalogue = Catalogue(deps.mongo, deps.redis, deps.clock, cluster=deps.settings.redis_cluster)
    default = deps.settings.default_tenant

    @router.get("/item/{item_id:path}", summary="An item", response_model=Item, responses=errors(400, 404, 500, 503))
    async def get_item(request: Request, item_id: ItemIdPath, x_tenant_id: TenantHeader = None) -> JsonResponse:
        item = await catalogue.get(tenant_of(request, default, x_tenant_id), item_id)
        if item is None:
            raise RequestRefused(ApiCode.ITEM_NOT_FOUND, f"there is no item {item_id!r}", status=404)
        return JsonResponse(item)

    @router.put(
        "/item/{item_id:path}",
        summary="Write or replace an item; safe to repeat",
        response_model=Item,
        responses=errors(400, 404, 413, 415, 500, 503),
    )
    async def put_item(
        request: Request, item_id: ItemIdPath, body: ItemPut, x_tenant_id: TenantHeader = None
    ) -> JsonResponse:
        if body.item_id not in {None, item_id}:
            message = f"the path names {item_id!r}, the body {body.item_id!r}"
            raise RequestRefused(ApiCode.INVALID_REQUEST, message, (Issue("item_id", Code.OUT_OF_RANGE, message),))
        item = Item.model_validate(body.model_dump() | {"item_id": item_id})
        await catalogue.put(tenant_of(request, default, x_tenant_id), [item])
        return JsonResponse(item.model_dump())

    @router.post(
        "/items",
        summary="Write or replace up to 1,000 items; good ones are taken when others fail",
        responses={200: _RECEIPT, **errors(400, 413, 415, 500, 503)},
    )
    async def put_items(
        request: Request, body: Annotated[ItemsBody, Body()], x_tenant_id: TenantHeader = None
    ) -> JsonResponse:
        tenant = tenant_of(request, default, x_tenant_id)
        items, failures = read_items(body.items)
        if items:
            await catalogue.put(tenant, items)
        content: dict[str, Any] = {
            "success": not failures,
            "total": len(body.items),
            "succeeded": len(items),
            "failed": len(failures),
        }
        return JsonResponse(content | ({"errors": failures} if failures else {}))

    return router


def read_items(bodies: list[Any]) -> tuple[list[Item], list[dict[str, Any]]]:
    """The good items, and a line for each of the others."""
    items: list[Item] = []
    failures: list[dict[str, Any]] = []
    for index, body in enumerate(bodies):
        try:
            items.append(_item.validate_python(body))
        except ValidationError as error:
            line: dict[str, Any] = {"index": index}
            if isinstance(body, dict) and isinstance(body.get("item_id"), str):
                line["item_id"] = body["item_id"]
            failures.append(line | {"errors": issues(error.errors(include_url=False))})
    return items, failures
