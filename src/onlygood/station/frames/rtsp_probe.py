"""Why a camera in the network could not be opened: it is asked what it offers, as RTSP (RFC 2326) begins."""

from __future__ import annotations

import base64
import hashlib
import re
import socket
import ssl
from urllib.parse import SplitResult, unquote, urlsplit

from onlygood.errors import SettingError

_DEFAULT_PORTS = {"rtsp": 554, "rtsps": 322}
_MOST_BYTES = 65536


def split_address(url: str, source: str) -> SplitResult:
    """The parts of an address that is one of RTSP.

    Args:
        url: as it was set. No message names more of it than the host and the port, as passwords stand in every part.
        source: whose address it is.

    Raises:
        SettingError: it is none.
    """
    remedy = "write it as rtsp://user:password@host:port/path, with %40 for an @ in the password"
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - a wrong one raises here
    except ValueError:
        raise SettingError(
            f"the address of the source {source} must be one of RTSP, got one that cannot be taken apart: {remedy}"
        ) from None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        got = f"one that begins with {parts.scheme}" if parts.scheme else "one without rtsp://"
        raise SettingError(f"the address of the source {source} must be one of RTSP, got {got}: {remedy}")
    return parts


def shown_address(parts: SplitResult) -> str:
    """An address without user, password, path and query: "rtsp://10.0.0.7:554"."""
    return f"{parts.scheme}://{parts.hostname}:{_port(parts)}"


def why_not_opened(parts: SplitResult, timeout_s: float) -> str:
    """Why the camera at that address gives no images, as the end of a sentence with what to do.

    Args:
        parts: of its address.
        timeout_s: for each step.
    """
    host, where = parts.hostname or "", shown_address(parts)
    try:
        connection = socket.create_connection((host, _port(parts)), timeout=timeout_s)
    except socket.gaierror:
        return f"{host} has no address in this network: check its name"
    except TimeoutError:
        return f"{where} does not answer: check that the camera is on and reachable"
    except ConnectionRefusedError:
        return f"nothing listens at {where}: check the port, and whether the camera offers RTSP"
    except OSError as error:
        return f"{where} is not reachable ({error.strerror or type(error).__name__}): check the network"
    try:
        with connection:
            return _answered(connection, parts, where, timeout_s)
    except TimeoutError:
        return f"{where} accepts connections and does not answer: switch the camera off and on"
    except (OSError, ValueError):
        return f"{where} ends the connection: check that it offers RTSP, and how many may watch it at once"


def _answered(connection: socket.socket, parts: SplitResult, where: str, timeout_s: float) -> str:
    if parts.scheme == "rtsps":
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # as FFmpeg: cameras sign for themselves
        connection = context.wrap_socket(connection, server_hostname=parts.hostname)
    connection.settimeout(timeout_s)
    url = f"{where}{parts.path}{f'?{parts.query}' if parts.query else ''}"
    status, headers = _describe(connection, url, "", 1)
    if status == 401 and parts.username is not None:
        user, password = unquote(parts.username), unquote(parts.password or "")
        authorization = _authorization(headers.get("www-authenticate", ""), url, user, password)
        if authorization:
            status, _ = _describe(connection, url, authorization, 2)
    if status in (401, 403):
        got = "refuses this user and password" if parts.username else "asks for a user and a password"
        return f"{where} {got}: write them into the address as rtsp://user:password@host, with %40 for an @"
    if status == 404:
        return f"{where} has no stream at this path: look the path up in the camera's manual"
    if status == 200:
        return f"{where} offers a stream that gives no images: choose H.264, H.265 or MJPEG in the camera"
    return f"{where} answers with the status {status}: look it up in the camera's manual"


def _describe(connection: socket.socket, url: str, authorization: str, number: int) -> tuple[int, dict[str, str]]:
    """The status of an answer, and its headers.

    Raises:
        ValueError: the other side does not speak RTSP.
    """
    extra = f"Authorization: {authorization}\r\n" if authorization else ""
    connection.sendall(f"DESCRIBE {url} RTSP/1.0\r\nCSeq: {number}\r\nAccept: application/sdp\r\n{extra}\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer and len(answer) < _MOST_BYTES:
        more = connection.recv(4096)
        if not more:
            raise ConnectionResetError
        answer += more
    first, *lines = answer.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    status = re.fullmatch(r"RTSP/1\.\d (\d{3})\b.*", first)
    if status is None:
        raise ValueError(first)
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        if "basic" not in headers.get(name.lower(), "").lower():  # the first challenge, unless a better one follows
            headers.setdefault(name.lower(), value.strip())
        else:
            headers[name.lower()] = value.strip()
    return int(status[1]), headers


def _authorization(challenge: str, url: str, user: str, password: str) -> str:
    """The header that answers a challenge (RFC 2617); empty where its scheme is not known."""
    scheme, _, rest = challenge.partition(" ")
    if scheme.lower() == "basic":
        return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
    fields = dict(re.findall(r'(\w+)="([^"]*)"', rest))
    if scheme.lower() != "digest" or not {"realm", "nonce"} <= fields.keys():
        return ""
    secret = _md5(f"{user}:{fields['realm']}:{password}")
    response = _md5(f"{secret}:{fields['nonce']}:{_md5(f'DESCRIBE:{url}')}")
    given = {"username": user, "realm": fields["realm"], "nonce": fields["nonce"], "uri": url, "response": response}
    return "Digest " + ", ".join(f'{name}="{value}"' for name, value in given.items())


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _port(parts: SplitResult) -> int:
    return parts.port or _DEFAULT_PORTS[parts.scheme]
