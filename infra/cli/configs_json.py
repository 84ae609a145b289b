"""What --json prints where a command of `millrace configs` fails: an object too, on stdout, beside the sentence."""

from typing import Any

import typer
from typer.core import TyperGroup

from infra.cli.running import print_json
from infra.configs.errors import ConfigsError
from infra.errors import OperatorError


class JsonGroup(TyperGroup):
    """Commands of which each prints one object with --json, whatever happens. Exit statuses are as without."""

    def invoke(self, ctx: Any) -> Any:
        as_json = "--json" in ctx.args
        try:
            return self._invoke(ctx)
        except (typer.Exit, typer.Abort):
            raise
        except Exception as error:
            if as_json:
                print_json(failure(error))
            raise

    def _invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except RecursionError as error:
            raise OperatorError("a config nests too deep for this command: change it by the API") from error


def failure(error: Exception) -> dict[str, Any]:
    """`error`, the sentence, and what the error has to say beside it; wrong use says what was wrong."""
    says = error.format_message() if hasattr(error, "format_message") else str(error)
    return {"error": says} | (error.as_dict() if isinstance(error, ConfigsError) else {})
