"""The four DSNs of the settings: what each looks like, checking one, and showing one without its secret."""

import re
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from schemas.kafka import KafkaDsn

_SECRET: Final = re.compile(r"(?<=://)([^/@:]*):[^/]*@")


class DsnForm(NamedTuple):
    schemes: tuple[str, ...]
    example: str


FORMS: Final = {
    "kafka": DsnForm(("kafka",), "kafka://user:secret@host:9092?security=sasl_ssl&mechanism=PLAIN, or host:9092"),
    "redis": DsnForm(("redis", "rediss", "unix"), "redis://host:6379/0"),
    "clickhouse": DsnForm(("http", "https", "clickhouse", "clickhouses"), "http://user:secret@host:8123/default"),
    "mongo": DsnForm(("mongodb", "mongodb+srv"), "mongodb://user:secret@host:27017"),
}


def check_dsn(kind: str, text: str) -> str:
    """`text` when it is a DSN of that kind. Raises ValueError saying what is wrong, never repeating a secret."""
    form = FORMS[kind]
    if kind == "kafka":
        KafkaDsn.parse(text)
        return text
    scheme, separator, _ = text.partition("://")
    if not separator or scheme not in form.schemes:
        raise ValueError(f"a DSN of {kind} begins with {form.schemes[0]}://, for example {form.example}")
    if scheme != "unix" and not _names_a_host(text):
        raise ValueError(f"this DSN of {kind} names no host, or a port that is no number: write {form.example}")
    return text


def _names_a_host(text: str) -> bool:
    try:
        url = urlsplit(text.split(",")[-1] if "," in text else text)  # mongodb://a:1,b:2: the last of the hosts
        return bool(url.hostname or url.path) and (url.port is None or url.port > 0)
    except ValueError:
        return False


def redact(dsn: str) -> str:
    """The DSN with its secret hidden, fit for a screen or a log."""
    return _SECRET.sub(r"\1:***@", dsn)
