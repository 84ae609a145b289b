"""Free loopback ports, and a clear word about taken ones."""

import secrets
import socket
from typing import Final

LOOPBACK: Final = "127.0.0.1"
FIRST_PORT: Final = 20_000
PORTS: Final = 12_000


class PortInUseError(RuntimeError):
    """A port that was asked for by number is taken."""

    def __init__(self, port: int, flag: str) -> None:
        super().__init__(
            f"port {port} is in use: stop what listens there, or choose another with {flag} (0 = any free)"
        )
        self.port = port


def free_ports(count: int) -> list[int]:
    """`count` different free loopback ports.

    Not of the range from which the system gives ports to outgoing connections: one of those could take a port
    between our choosing and the server's listening.
    """
    sockets: list[socket.socket] = []
    try:
        while len(sockets) < count:
            sock = socket.socket()
            try:
                sock.bind((LOOPBACK, FIRST_PORT + secrets.randbelow(PORTS)))
            except OSError:
                sock.close()
            else:
                sockets.append(sock)
        return [sock.getsockname()[1] for sock in sockets]
    finally:
        for sock in sockets:
            sock.close()


def claim_port(port: int, flag: str) -> int:
    """The port itself when it is free, any free one for 0; PortInUseError when it is taken."""
    if port == 0:
        return free_ports(1)[0]
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((LOOPBACK, port))
        except OSError as error:
            raise PortInUseError(port, flag) from error
    return port
