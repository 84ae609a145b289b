"""Free loopback ports, and a clear word about taken ones."""

import socket

LOOPBACK = "127.0.0.1"


class PortInUseError(RuntimeError):
    """A port that was asked for by number is taken."""

    def __init__(self, port: int, flag: str) -> None:
        super().__init__(
            f"port {port} is in use: stop what listens there, or choose another with {flag} (0 = any free)"
        )
        self.port = port


def free_ports(count: int) -> list[int]:
    """`count` different free loopback ports (all held at once while choosing, so that no two are the same)."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for sock in sockets:
            sock.bind((LOOPBACK, 0))
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
