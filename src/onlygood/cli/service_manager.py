"""Telling the service manager that started the process how it is."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
from contextlib import suppress

_VARIABLE = "NOTIFY_SOCKET"
_WATCHDOG = "WATCHDOG_USEC"
# Of the time within which it must be told, the share after which it is.
_SHARE = 0.4
_ANYWHERE = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


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


def watchdog_pause_s() -> float | None:
    """After how many seconds the service manager is to be told that all is well (`WatchdogSec`); None where never.

    Source: sd_watchdog_enabled(3).
    """
    text = os.environ.get(_WATCHDOG, "")
    is_for_us = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return _SHARE * int(text) / 1e6 if text.isdecimal() and int(text) > 0 and is_for_us else None


def answers(host: str, port: int, *, timeout_s: float, is_https: bool = False) -> bool:
    """Whether the station's own server says within the time that it lives.

    Args:
        host: the address that it listens on.
        port: on which it does.
        timeout_s: to wait.
        is_https: whether it speaks HTTPS there, with whatever certificate.
    """
    address = _ANYWHERE.get(host, host)
    if is_https:
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            address, port, timeout=timeout_s, context=_trusting_anyone()
        )
    else:
        connection = http.client.HTTPConnection(address, port, timeout=timeout_s)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _trusting_anyone() -> ssl.SSLContext:
    """Of this process's own server nothing needs to be proved, and its certificate is for other names."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
