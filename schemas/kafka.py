"""Where Kafka is and how to log in to it, in one string (CONTRACTS §9). It opens no connection itself."""

from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

DEFAULT_PORT: Final = 9092
SECURITY: Final = ("plaintext", "ssl", "sasl_plaintext", "sasl_ssl")
MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


class InvalidKafkaDsnError(ValueError):
    """A string that is not a Kafka DSN. Its message never repeats the DSN, which may hold a secret."""


@dataclass(frozen=True, slots=True)
class KafkaDsn:
    """`host:port,host:port`, or `kafka://user:secret@host:port,host?security=sasl_ssl&mechanism=PLAIN`.

    Without `security`, a user name means sasl_plaintext and none means plaintext. User and secret are
    percent-encoded where they hold `@`, `:`, `/` or `%`.
    """

    servers: tuple[str, ...]
    security: str = "plaintext"
    mechanism: str = "PLAIN"
    user: str | None = None
    secret: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str) -> "KafkaDsn":
        """Raises InvalidKafkaDsnError, naming the part that is wrong."""
        url = urlsplit(text.strip() if "://" in text else f"kafka://{text.strip()}")
        if url.scheme != "kafka":
            raise InvalidKafkaDsnError(f"a Kafka DSN begins with kafka://, not {url.scheme}://")
        login, _, hosts = url.netloc.rpartition("@")
        user, _, secret = login.partition(":")
        options = _options(url.query, default_security="sasl_plaintext" if user else "plaintext")
        if options["security"].startswith("sasl_") != bool(user):
            raise InvalidKafkaDsnError(f"security={options['security']} and the user name do not go together")
        return cls(
            servers=tuple(_server(host) for host in hosts.split(",") if host) or _no_servers(),
            security=options["security"],
            mechanism=options["mechanism"],
            user=unquote(user) or None,
            secret=unquote(secret) if user else None,
        )

    @property
    def bootstrap_servers(self) -> str:
        """`host:port,host:port`, as every Kafka client takes it."""
        return ",".join(self.servers)

    def client_options(self) -> dict[str, Any]:
        """Keyword arguments for aiokafka's consumer, producer and admin client."""
        options: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap_servers,
            "security_protocol": self.security.upper(),
        }
        if self.user is not None:
            options["sasl_mechanism"] = self.mechanism
            options["sasl_plain_username"] = self.user
            options["sasl_plain_password"] = self.secret or ""
        if self.security.endswith("ssl"):
            # Deferred: reading the machine's certificates takes a few ms, and only TLS users need it.
            import ssl

            options["ssl_context"] = ssl.create_default_context()
        return options


def _options(query: str, *, default_security: str) -> dict[str, str]:
    options = {"security": default_security, "mechanism": "PLAIN"}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in options:
            raise InvalidKafkaDsnError(f"unknown option {name!r} of a Kafka DSN: there are security and mechanism")
        options[name] = value.lower() if name == "security" else value.upper()
    for name, allowed in (("security", SECURITY), ("mechanism", MECHANISMS)):
        if options[name] not in allowed:
            raise InvalidKafkaDsnError(f"{name}={options[name]} is not one of {', '.join(allowed)}")
    return options


def _server(text: str) -> str:
    host, colon, port = text.rpartition(":") if not text.endswith("]") else (text, "", "")
    if not colon:
        return f"{text}:{DEFAULT_PORT}"
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise InvalidKafkaDsnError(f"{text!r} is not host:port")
    return text


def _no_servers() -> tuple[str, ...]:
    raise InvalidKafkaDsnError("a Kafka DSN names at least one host")
