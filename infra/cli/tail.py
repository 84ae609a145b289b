"""`millrace tail`."""

import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.errors import KafkaError

from infra.cli.configs_tables import plain
from infra.cli.run import run_async
from infra.cli.running import AsJson, DataDir, cli_settings
from infra.errors import OperatorError, ServerAwayError
from infra.partitions import partitions_of
from schemas.dead_letter import decode_dead_letter
from schemas.kafka import KafkaDsn
from schemas.topics import is_tenant, raw_topic, rejected_topic, validated_topic
from schemas.validated import decode_event

POLL_MS: Final = 200
Reader = Callable[[ConsumerRecord], dict[str, Any]]


def tail(
    tenant: Annotated[str, typer.Argument(help="Whose events.")],
    raw: Annotated[bool, typer.Option("--raw", help="Events as they were sent, before they are judged.")] = False,
    rejected: Annotated[bool, typer.Option("--rejected", help="Dead letters: what was rejected, and why.")] = False,
    last: Annotated[int, typer.Option(min=0, help="Begin with the last so many of each partition.")] = 0,
    count: Annotated[int | None, typer.Option(min=1, help="End after so many; else at Ctrl-C.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show a tenant's events as they arrive: those accepted, or with --raw or --rejected what came or was refused."""
    if raw and rejected:
        raise typer.BadParameter("choose one of --raw and --rejected")
    if not is_tenant(tenant):
        raise typer.BadParameter(f"{tenant!r} is not a tenant's name")
    settings, _ = cli_settings(data_dir)
    topic, read, show = _choose(tenant, raw, rejected)
    write = (lambda found: json.dumps(found, ensure_ascii=False, default=str)) if as_json else show
    run_async(_follow(KafkaDsn.parse(settings.kafka.get_secret_value()), topic, last, count, lambda r: write(read(r))))


def _choose(tenant: str, raw: bool, rejected: bool) -> tuple[str, Reader, Callable[[dict[str, Any]], str]]:
    if raw:
        return raw_topic(tenant), read_raw, lambda found: f"{found['received_at']}  {plain(found['value'])}"
    if rejected:
        return rejected_topic(tenant), read_dead_letter, dead_letter_line
    return validated_topic(tenant), read_validated, event_line


def read_validated(record: ConsumerRecord) -> dict[str, Any]:
    return decode_event(record.value).as_dict()


def read_dead_letter(record: ConsumerRecord) -> dict[str, Any]:
    letter = decode_dead_letter(record.value)
    return {
        "reason_codes": list(letter.reason_codes),
        "message": letter.message,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "timestamp": letter.timestamp,
        "original": letter.original_bytes.decode(errors="replace"),
    }


def read_raw(record: ConsumerRecord) -> dict[str, Any]:
    return {
        "partition": record.partition,
        "offset": record.offset,
        "received_at": moment(record.timestamp),
        "key": (record.key or b"").decode(errors="replace"),
        "source": dict(record.headers).get("millrace-source", b"kafka").decode(errors="replace"),
        "value": (record.value or b"").decode(errors="replace"),
    }


def event_line(event: dict[str, Any]) -> str:
    """One event for the eye; warnings at its end."""
    warned = ", ".join(sorted({issue["code"] for issue in event["validation_warnings"]}))
    line = (
        f"{moment(event['timestamp'])}  {event['source']:<5}  {event['scenario_id']}  "
        f"{event['user_id']}  {event['action_type']:<10}  {event['item_id']}"
    )
    return plain(f"{line}  [warned: {warned}]" if warned else line)


def dead_letter_line(letter: dict[str, Any]) -> str:
    reasons = ", ".join(letter["reason_codes"])
    place = f"{letter['topic']}/{letter['partition']}@{letter['offset']}"
    message, original = plain(letter["message"]), plain(letter["original"][:300])
    return f"{moment(letter['timestamp'])}  {place}  {reasons}: {message}\n    {original}"


def moment(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00")


async def _follow(kafka: KafkaDsn, topic: str, last: int, count: int | None, write: Callable[[Any], str]) -> None:
    shown = 0
    async with _consumer(kafka) as consumer:
        await _assign(consumer, kafka, topic, last)
        while count is None or shown < count:
            try:
                batches = await consumer.getmany(timeout_ms=POLL_MS)
            except KafkaError as error:
                raise ServerAwayError(f"Kafka ended the reading ({error}): run `millrace doctor`") from error
            for record in sorted((r for batch in batches.values() for r in batch), key=lambda r: int(r.timestamp)):
                if count is None or shown < count:
                    typer.echo(write(record))
                    shown += 1
            sys.stdout.flush()


@asynccontextmanager
async def _consumer(kafka: KafkaDsn) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(enable_auto_commit=False, auto_offset_reset="latest", **kafka.client_options())
    try:
        await consumer.start()
        yield consumer
    except KafkaError as error:
        raise ServerAwayError(
            f"Kafka does not answer at {kafka.bootstrap_servers}: start `millrace up`, or correct MILLRACE_KAFKA"
        ) from error
    finally:
        await consumer.stop()


async def _assign(consumer: AIOKafkaConsumer, kafka: KafkaDsn, topic: str, last: int) -> None:
    """All partitions, without a group: a look must not take part in anybody's work."""
    places = await partitions_of(kafka, topic)
    if not places:
        raise OperatorError(f"there is no topic {topic} yet: send the tenant's first event, then try again")
    consumer.assign(places)
    begins, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
    for place in places:
        consumer.seek(place, max(begins[place], ends[place] - last))
