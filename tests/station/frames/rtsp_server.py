"""A camera in the network, for tests: RTSP (RFC 2326) with RTP over its connection or over UDP.

It sends a clip at its own speed over and over, as H.264 (RFC 6184) or as JPEG (RFC 2435), asks for a user where it is
told to, and fails on demand as cameras do: it cuts its connections, falls silent, or never answers.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_CLOCK_HZ = 90_000
_PAYLOAD_BYTES = 1400

Pixels = NDArray[np.uint8]


# What is sent


@dataclass(frozen=True)
class Clip:
    """Frames as RTP payloads, and the lines of the session's description that name their coding.

    Attributes:
        frames: of each frame its payloads; the last one of a frame is marked when it is sent.
        sdp: lines after `m=`, without line ends.
        payload_type: of RTP.
        key_every: each so many frames one can be decoded without those before it.
    """

    frames: tuple[tuple[bytes, ...], ...]
    sdp: tuple[str, ...]
    payload_type: int
    key_every: int


def jpeg_clip(images: Iterable[Pixels], quality: int = 90) -> Clip:
    """Images as RFC 2435 has them.

    Args:
        images: uint8 [H, W, 3], height and width multiples of 16 and at most 2040.
        quality: of the JPEG files.
    """
    return Clip(tuple(tuple(_jpeg_payloads(image, quality)) for image in images), (), 26, 1)


def _jpeg_payloads(image: Pixels, quality: int) -> Iterable[bytes]:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    data = file.getvalue()
    tables, scan = b"", b""
    place = 2
    while not scan:
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        segment = data[place + 4 : place + 2 + length]
        if marker == 0xDB:
            tables += b"".join(segment[at + 1 : at + 65] for at in range(0, len(segment), 65))
        if marker == 0xDA:
            scan = data[place + 2 + length : -2]
        place += 2 + length
    for offset in range(0, len(scan), _PAYLOAD_BYTES):
        header = struct.pack(">II", offset, (1 << 24) | (255 << 16) | (image.shape[1] // 8 << 8) | image.shape[0] // 8)
        extra = struct.pack(">HH", 0, len(tables)) + tables if offset == 0 else b""
        yield header + extra + scan[offset : offset + _PAYLOAD_BYTES]


def h264_clip(images: Sequence[Pixels], frames_per_s: int) -> Clip:
    """Images as an encoder in a camera sends them: no B-frames, a key frame each second.

    Args:
        images: uint8 [H, W, 3], height and width even.
        frames_per_s: at which they will be sent.
    """
    import av

    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.height, encoder.width = images[0].shape[:2]
    encoder.pix_fmt = "yuv420p"
    encoder.time_base = Fraction(1, frames_per_s)
    encoder.options = {"preset": "veryfast", "tune": "zerolatency", "profile": "high"}
    encoder.options |= {"g": str(frames_per_s), "keyint_min": str(frames_per_s), "sc_threshold": "0"}
    encoded = (encoder.encode(av.VideoFrame.from_ndarray(image, format="rgb24")) for image in images)
    return h264_clip_of(b"".join(bytes(packet) for packets in encoded for packet in packets), frames_per_s)


def h264_clip_of(stream: bytes, frames_per_s: int) -> Clip:
    """A stream that was encoded before.

    Args:
        stream: as a file with start codes (annex B of the standard), a key frame each second.
        frames_per_s: at which it will be sent.
    """
    units = [unit.rstrip(b"\0") for unit in re.split(rb"\x00\x00\x00?\x01", stream) if unit]
    frames: list[list[bytes]] = [[]]
    has_slice = False
    for unit in units:
        is_slice = unit[0] & 31 in (1, 5)
        # a slice that begins with the first macroblock, and what stands before it, begin a frame
        if has_slice and (not is_slice or unit[1] & 0x80):
            frames.append([])
            has_slice = False
        has_slice |= is_slice
        frames[-1].extend(_h264_payloads(unit))
    parameters = {unit[0] & 31: unit for unit in units if unit[0] & 31 in (7, 8)}
    sets = ",".join(base64.b64encode(parameters[kind]).decode() for kind in (7, 8))
    sdp = ("a=rtpmap:96 H264/90000", f"a=fmtp:96 packetization-mode=1;sprop-parameter-sets={sets}")
    return Clip(tuple(map(tuple, frames)), sdp, 96, frames_per_s)


def _h264_payloads(unit: bytes) -> Iterable[bytes]:
    if len(unit) <= _PAYLOAD_BYTES:
        yield unit
        return
    parts = [unit[at : at + _PAYLOAD_BYTES] for at in range(1, len(unit), _PAYLOAD_BYTES)]
    for index, part in enumerate(parts):
        flags = (0x80 if index == 0 else 0) | (0x40 if index == len(parts) - 1 else 0)
        yield bytes([(unit[0] & 0xE0) | 28, flags | (unit[0] & 31)]) + part


# Who sends it


class RtspServer:
    """One camera on one port of the loopback address.

    Attributes:
        port: on which it listens, the same after `stop` and `start`.
        started_at: `time.monotonic()` at which frame 0 was due; frame k is due k / frames_per_s later.
        methods: of the requests that it got, in their order.
        described: the addresses of which a description was asked for.
        transports: that were asked for, "tcp" or "udp".
    """

    def __init__(self, clip: Clip, *, frames_per_s: float = 25.0, username: str = "", password: str = "") -> None:
        """A camera that is switched off.

        Args:
            clip: that it sends over and over.
            frames_per_s: of the clip.
            username: without whose name and password, by digest, it refuses; empty to let anyone in.
            password: of that user.
        """
        self._clip, self.frames_per_s = clip, frames_per_s
        self._username, self._password = username, password
        self._listener: socket.socket | None = None
        self._clients: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._is_silent, self._answers = threading.Event(), threading.Event()
        self._answers.set()
        self.port = 0
        self.started_at = time.monotonic()
        self.methods: list[str] = []
        self.transports: list[str] = []
        self.described: list[str] = []

    def url(self, user: str = "", path: str = "/live") -> str:
        """Where it is.

        Args:
            user: "name:password", as it stands before an @.
            path: any other one than /live is unknown to it; a query may follow.
        """
        return f"rtsp://{f'{user}@' if user else ''}127.0.0.1:{self.port}{path}"

    def start(self) -> RtspServer:
        """Switch it on; returns itself when it listens."""
        assert self._listener is None
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        self.started_at = time.monotonic()
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Switch it off; no error where it is off already."""
        if self._listener is not None:
            # an accept that waits is not woken by close alone
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self.cut()

    def cut(self) -> None:
        """End all connections, as when a cable is pulled and the switch says so; new ones are welcome."""
        with self._lock:
            clients, self._clients = self._clients, set()
        for client in clients:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def fall_silent(self) -> None:
        """Keep the connections, and send nothing more."""
        self._is_silent.set()

    def speak(self) -> None:
        """Send again after `fall_silent`."""
        self._is_silent.clear()

    def stop_answering(self) -> None:
        """Accept connections, and answer no request."""
        self._answers.clear()

    def answer(self) -> None:
        """Answer again after `stop_answering`."""
        self._answers.set()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._clients.add(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        session = _Session(self, client)
        try:
            session.run()
        except OSError:
            pass
        finally:
            session.is_over.set()
            with self._lock:
                self._clients.discard(client)
            client.close()


class _Session:
    """What one client asked for."""

    def __init__(self, server: RtspServer, client: socket.socket) -> None:
        self._server, self._client = server, client
        self._sending = threading.Lock()
        self._send_rtp: Callable[[bytes], None] = self._interleaved
        self._nonce = hashlib.md5(str(id(self)).encode()).hexdigest()
        self._udp: socket.socket | None = None
        self.is_over = threading.Event()

    def run(self) -> None:
        """Answer until the connection ends."""
        with self._client.makefile("rb") as lines:
            while True:
                first = lines.read(1)
                if not first:
                    return
                if first == b"$":  # a report of the receiver
                    lines.read(int.from_bytes(lines.read(3)[1:], "big"))
                    continue
                request = (first + lines.readline()).decode().split()
                headers = {}
                while line := lines.readline().decode().strip():
                    name, _, value = line.partition(":")
                    headers[name.lower()] = value.strip()
                self._server.methods.append(request[0])
                if self._server._answers.is_set():
                    self._answer(request[0], request[1], headers)

    def _answer(self, method: str, url: str, headers: dict[str, str]) -> None:
        server, clip = self._server, self._server._clip
        if method != "OPTIONS" and not self._is_allowed(method, headers.get("authorization", "")):
            challenge = f'WWW-Authenticate: Digest realm="camera", nonce="{self._nonce}"'
            return self._reply("401 Unauthorized", headers, challenge)
        if method == "DESCRIBE":
            server.described.append(url)
            if not re.search(r"/live/?(\?.*)?$", url):
                return self._reply("404 Not Found", headers)
            lines = ("v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=camera", "c=IN IP4 0.0.0.0", "t=0 0", "a=control:*")
            media = (f"m=video 0 RTP/AVP {clip.payload_type}", *clip.sdp, "a=control:track0")
            body = "\r\n".join((*lines, *media, ""))
            kind = f"Content-Base: {url}/", "Content-Type: application/sdp", f"Content-Length: {len(body)}"
            return self._reply("200 OK", headers, *kind, body=body)
        if method == "SETUP":
            asked = headers["transport"]
            ports = re.search(r"client_port=(\d+)", asked)
            server.transports.append("tcp" if ports is None else "udp")
            if ports is not None:
                self._udp = udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                udp.connect(("127.0.0.1", int(ports[1])))
                self._send_rtp = lambda packet: _send_datagram(udp, packet)
                mine = udp.getsockname()[1]
                asked += f";server_port={mine}-{mine + 1}"
            else:
                asked = "RTP/AVP/TCP;unicast;interleaved=0-1"
            return self._reply("200 OK", headers, f"Transport: {asked}")
        if method == "PLAY":
            self._reply("200 OK", headers, "Range: npt=0-")
            threading.Thread(target=self._play, daemon=True).start()
            return None
        public = "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER"
        return self._reply("200 OK", headers, public)

    def _is_allowed(self, method: str, given: str) -> bool:
        server = self._server
        if not server._username:
            return True
        fields = dict(re.findall(r'(\w+)="([^"]*)"', given))
        user = hashlib.md5(f"{server._username}:camera:{server._password}".encode()).hexdigest()
        asked = hashlib.md5(f"{method}:{fields.get('uri')}".encode()).hexdigest()
        return fields.get("response") == hashlib.md5(f"{user}:{self._nonce}:{asked}".encode()).hexdigest()

    def _reply(self, status: str, headers: dict[str, str], *more: str, body: str = "") -> None:
        lines = (f"RTSP/1.0 {status}", f"CSeq: {headers['cseq']}", "Session: 1;timeout=60", *more, "", body)
        with self._sending:
            self._client.sendall("\r\n".join(lines).encode())

    def _interleaved(self, packet: bytes) -> None:
        with self._sending:
            self._client.sendall(b"$\0" + struct.pack(">H", len(packet)) + packet)

    def _play(self) -> None:
        server, clip = self._server, self._server._clip
        # the next frame that is due and can be decoded
        index = int((time.monotonic() - server.started_at) * server.frames_per_s) + 1
        index += -index % clip.key_every
        sequence = 0
        try:
            while not self.is_over.wait(max(0.0, server.started_at + index / server.frames_per_s - time.monotonic())):
                stamp = int(index / server.frames_per_s * _CLOCK_HZ) & 0xFFFFFFFF
                payloads = clip.frames[index % len(clip.frames)]
                for number, payload in enumerate(payloads):
                    is_last = number == len(payloads) - 1
                    head = (0x80, clip.payload_type | (0x80 if is_last else 0), sequence & 0xFFFF, stamp, 1)
                    if not server._is_silent.is_set():
                        self._send_rtp(struct.pack(">BBHII", *head) + payload)
                    sequence += 1
                index += 1
        except OSError:
            self.is_over.set()
        finally:
            if self._udp is not None:
                self._udp.close()


def _send_datagram(udp: socket.socket, packet: bytes) -> None:
    with suppress(ConnectionRefusedError):  # an earlier one did not arrive: that is how UDP is
        udp.send(packet)


# Images that say which they are

_BITS, _BLOCK = 16, 16


def numbered_image(number: int, height: int = 240, width: int = 320) -> Pixels:
    """An image whose upper row of blocks is `number` in binary, over a red, green and blue that changes with it.

    Args:
        number: from 0 to 65535.
        height: in pixels.
        width: in pixels, at least 256.
    """
    image = np.empty((height, width, 3), np.uint8)
    image[:] = (200, 90 + number % 32, 30)
    for bit in range(_BITS):
        image[:_BLOCK, bit * _BLOCK : (bit + 1) * _BLOCK] = 255 if number >> bit & 1 else 0
    return image


def number_of(image: NDArray[np.generic]) -> int:
    """The number in an image of `numbered_image`, however it was compressed.

    Args:
        image: uint8 [H, W, C].
    """
    centers = np.asarray(image)[_BLOCK // 2, _BLOCK // 2 : _BITS * _BLOCK : _BLOCK]
    return sum(int(center.mean() > 127) << bit for bit, center in enumerate(centers))
