"""The fields of a multipart form: clickhouse-connect sends a query so whose parameters are too long for an address."""

from email import policy
from email.message import MIMEPart
from email.parser import BytesParser

from infra.stack.clickhouse_request import BadRequestError

FORM = "multipart/form-data"


def is_form(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == FORM


def form_fields(content_type: str, body: bytes) -> dict[str, str]:
    """By name, every value as it came. Raises BadRequestError, for files too: tables are not uploaded here."""
    head = b"Content-Type: " + content_type.encode("latin-1") + b"\r\n\r\n"
    form = BytesParser(policy=policy.HTTP).parsebytes(head + body)
    if form.defects or not form.is_multipart():
        raise BadRequestError(36, f"The body is not the {FORM} that its Content-Type says. (BAD_ARGUMENTS)")
    return dict(map(_field, form.iter_parts()))


def _field(part: MIMEPart) -> tuple[str, str]:
    name = part.get_param("name", header="content-disposition")
    if part.get_filename() is not None:
        raise BadRequestError(48, f"{name}: external data is not served here. (NOT_IMPLEMENTED)")
    value = part.get_payload(decode=True)
    if not isinstance(name, str) or not isinstance(value, bytes):
        raise BadRequestError(36, "A part of the form is no field with a name. (BAD_ARGUMENTS)")
    try:
        return name, value.decode()
    except UnicodeDecodeError as error:
        raise BadRequestError(36, f"{name} is not UTF-8: {error}. (BAD_ARGUMENTS)") from error
