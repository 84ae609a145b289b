"""The ways to have the servers on one machine."""

from typing import Literal, get_args

StackKind = Literal["embedded", "native"]
STACK_KINDS: tuple[StackKind, ...] = get_args(StackKind)


class NotSetUpError(RuntimeError):
    """A server of this kind of stack is not on the machine; the message says how to get it."""
