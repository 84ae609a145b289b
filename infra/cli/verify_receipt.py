"""`millrace verify-receipt`."""

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from pymongo.errors import PyMongoError

from infra.cli.configs_tables import when
from infra.cli.run import run_async
from infra.cli.running import AsJson, DataDir, cli_settings, print_json
from infra.connections import open_deps
from infra.errors import OperatorError, ServerAwayError
from infra.settings import Settings
from ingest_api import erasure_receipt
from ingest_api.erasure_key import ErasureKey
from ingest_api.erasure_receipt import Receipt, user_hash
from schemas.erased import key_id


def verify_receipt(
    file: Annotated[Path, typer.Argument(help="A receipt of `millrace erase` or of the HTTP call; - reads stdin.")],
    user: Annotated[str | None, typer.Option(help="Also whether it is of this user.")] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Say whether a receipt of an erasure is genuine: signed by this platform's key, and nothing of it changed.

    The key is MILLRACE_ERASURE_KEY, else the one that MongoDB keeps.
    """
    receipt = _read(file)
    key = run_async(_key(cli_settings(data_dir)[0]))
    problem = problem_of(receipt, key, user)
    if as_json:
        print_json({"valid": problem is None, "tenant_id": receipt.tenant_id, "problem": problem})
    if problem is not None:
        raise OperatorError(f"{file} does not prove an erasure: {problem}")
    if not as_json:
        whose = "a user" if user is None else f"the user {user}"
        typer.echo(f"{file} is genuine: {whose} of {receipt.tenant_id} was forgotten, {when(receipt.finished_at)}")


def problem_of(receipt: Receipt, key: bytes | None, user: str | None = None) -> str | None:
    """Why the receipt proves nothing; None where it is genuine."""
    if key is None:
        return "no key is set, and none was ever made here"
    if receipt.key_id != key_id(key):
        return f"another key signed it ({receipt.key_id}; this one is {key_id(key)})"
    if not erasure_receipt.verify_receipt(receipt, key):
        return "it was changed after it was signed"
    if user is not None and receipt.user != user_hash(key, receipt.tenant_id, user):
        return "it is of another user"
    return None


def _read(file: Path) -> Receipt:
    try:
        text = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        return msgspec.json.decode(text, type=Receipt)
    except OSError as error:
        raise OperatorError(f"{file} cannot be read ({error.strerror}): name another file") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise OperatorError(f"{file} is no receipt ({error}): name the file that `millrace erase` wrote") from error


async def _key(settings: Settings) -> bytes | None:
    given = settings.erasure_key
    async with open_deps(settings) as deps:
        try:
            return await ErasureKey(deps.mongo, given.get_secret_value().encode() if given else None).find()
        except PyMongoError as error:
            raise ServerAwayError(
                "MongoDB, which keeps the key, does not answer: start the platform, or set MILLRACE_ERASURE_KEY"
            ) from error
