"""The Kafka DSN."""

import ssl

import pytest

from schemas.kafka import InvalidKafkaDsnError, KafkaDsn


def test_takes_plain_host_and_port() -> None:
    assert KafkaDsn.parse("h:9092") == KafkaDsn(("h:9092",))


def test_a_server_without_a_port_has_the_usual_one() -> None:
    assert KafkaDsn.parse("one,two:9093,[::1]").servers == ("one:9092", "two:9093", "[::1]:9092")


def test_takes_apart_login_servers_and_options() -> None:
    dsn = KafkaDsn.parse("kafka://us%3Aer:se%40cret@h:9092,h2:9092?security=sasl_ssl&mechanism=SCRAM-SHA-512")
    assert dsn == KafkaDsn(("h:9092", "h2:9092"), "sasl_ssl", "SCRAM-SHA-512", "us:er", "se@cret")


def test_a_user_without_security_means_sasl_plaintext() -> None:
    assert KafkaDsn.parse("kafka://u:s@h").security == "sasl_plaintext"


def test_gives_what_aiokafka_wants() -> None:
    assert KafkaDsn.parse("h:1,i:2").client_options() == {
        "bootstrap_servers": "h:1,i:2",
        "security_protocol": "PLAINTEXT",
    }
    options = KafkaDsn.parse("kafka://u:s@h?security=sasl_ssl").client_options()
    assert isinstance(options.pop("ssl_context"), ssl.SSLContext)
    assert options == {
        "bootstrap_servers": "h:9092",
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": "u",
        "sasl_plain_password": "s",
    }


def test_never_shows_the_secret() -> None:
    assert "hush" not in repr(KafkaDsn.parse("kafka://u:hush@h"))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("http://u:hush@h", "begins with kafka://"),
        ("", "at least one host"),
        ("kafka://", "at least one host"),
        ("h:port", "not host:port"),
        ("h:70000", "not host:port"),
        ("kafka://u:hush@h?user=x", "unknown option 'user'"),
        ("kafka://u:hush@h?security=tls", "not one of plaintext"),
        ("kafka://u:hush@h?mechanism=GSSAPI", "not one of PLAIN"),
        ("kafka://u:hush@h?security=ssl", "do not go together"),
        ("kafka://h?security=sasl_ssl", "do not go together"),
    ],
)
def test_a_bad_dsn_is_refused_with_a_sentence_that_keeps_the_secret(text: str, why: str) -> None:
    with pytest.raises(InvalidKafkaDsnError, match=why) as caught:
        KafkaDsn.parse(text)
    assert "hush" not in str(caught.value)
