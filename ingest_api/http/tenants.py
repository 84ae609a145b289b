"""The tenant of a call that names none: the header X-Tenant-ID, else the setting `default_tenant`."""

from typing import Final

from starlette.requests import Request

from ingest_api.api_codes import ApiCode
from ingest_api.errors import RequestRefused
from schemas.topics import is_tenant
from schemas.verdict import Code, Issue

TENANT_HEADER: Final = "x-tenant-id"


def named_tenant(request: Request, default: str | None) -> str | None:
    """What the call says, unchecked; None where it says nothing and there is no default."""
    return request.headers.get(TENANT_HEADER) or default


def tenant_of(request: Request, default: str | None, own: str | None = None) -> str:
    """The tenant of a call, `own` being what its parameters name. Raises RequestRefused."""
    tenant = own or named_tenant(request, default)
    if tenant is None:
        raise _refused(Code.MISSING, "name a tenant: by a parameter of the call, or by the header X-Tenant-ID")
    if not is_tenant(tenant):
        raise _refused(Code.INVALID_TENANT, f"{tenant!r} is not a tenant's name")
    return tenant


def _refused(code: Code, message: str) -> RequestRefused:
    return RequestRefused(ApiCode.TENANT_UNKNOWN, message, (Issue("tenant_id", code, message),))
