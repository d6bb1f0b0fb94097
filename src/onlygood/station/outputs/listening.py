"""Whether a port can be listened on, asked before a server is made for it."""

from __future__ import annotations

import os
import socket

from onlygood.errors import OutputError


def check_free(host: str, port: int, *, output: str, setting: str) -> None:
    """Refuse an address that cannot be listened on.

    Args:
        host: a name or an address of this computer.
        port: of TCP.
        output: its name.
        setting: what the person can change instead of ending the other program.

    Raises:
        OutputError: the port is taken, needs rights that this program has not, or the host is not this computer.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        raise not_listening(host, port, error, output=output, setting=setting) from error


def not_listening(host: str, port: int, error: OSError, *, output: str, setting: str) -> OutputError:
    """The error that says why an address cannot be listened on."""
    # Its own text holds the address once more, in Python's words.
    reason = (error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)) or str(error)
    return OutputError(
        f"output {output!r} cannot listen on {host}:{port} ({reason.lower()}): "
        f"end what has the port, or choose another {setting}"
    )
