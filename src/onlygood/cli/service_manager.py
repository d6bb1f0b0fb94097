"""Telling the service manager that started the process how it is."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

_VARIABLE = "NOTIFY_SOCKET"


def tell_service_manager(state: str) -> None:
    """Tell systemd, where it waits to be told (`Type=notify`); nothing anywhere else.

    Args:
        state: such as "READY=1".

    Source: sd_notify(3).
    """
    address = os.environ.get(_VARIABLE)
    if not address or not hasattr(socket, "AF_UNIX"):
        return
    if address.startswith("@"):  # a name that is in no file system
        address = "\0" + address[1:]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.sendto(state.encode(), address)
