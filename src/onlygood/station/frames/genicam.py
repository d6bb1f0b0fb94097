"""A machine-vision camera (GigE Vision, USB3 Vision) through the GenTL producer of its maker."""

from __future__ import annotations

import difflib
import re
import tempfile
import time
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from onlygood.errors import SourceError
from onlygood.station.frames.frame import Frame
from onlygood.station.frames.gentl_producer import close_device, need_genicam, open_device
from onlygood.station.frames.pixel_formats import to_pixels
from onlygood.station.station_settings import GenicamSource

_BUFFERS = 6
# The package keeps every other thread waiting while it waits itself, so that it is asked often instead.
_ASK_EVERY_S = 0.002
_SILENCE_S = 3.0


class GenicamFrames:
    """Frames of a camera that speaks GenICam, the ones that arrive.

    A frame has the number that the camera gives it, so that those lost on the way are known. A camera that waits for a
    trigger of its own may be silent for as long as it answers.
    """

    kind = "genicam"
    is_live = True

    def __init__(self, settings: GenicamSource) -> None:
        """Nothing is opened yet.

        Args:
            settings: of the source.

        Raises:
            MissingExtraError: the package genicam is not installed.
        """
        need_genicam()
        self._settings = settings
        self._opened = ExitStack()
        self._stream: Any = None
        self._nodes: Any = None
        self._arrived: Any = None
        self._first_id: int | None = None
        self._number = 0
        self._heard_at = 0.0

    def open(self) -> None:
        """Open the camera, set its features, and have it send images.

        Raises:
            SourceError: the producer or the camera is not there, or does not have such a feature or value.
        """
        from genicam import genapi, gentl

        self.close()
        try:
            self._open(gentl, genapi)
        except (gentl.GenericException, genapi.GenericException) as error:
            self.close()
            raise SourceError(f"the camera of the source {self._settings.name} fails ({_first_line(error)})") from error
        except BaseException:
            self.close()
            raise

    def _open(self, gentl: Any, genapi: Any) -> None:
        settings, opened = self._settings, self._opened
        device = open_device(settings.producer, settings.serial, settings.name)
        opened.callback(close_device, settings.producer, device)
        self._nodes, port = _node_map(device, genapi)
        opened.callback(_quietly, lambda: port)
        opened.callback(_quietly, self._nodes.disconnect)
        self._set_features(genapi)
        identifiers = device.data_stream_ids
        if not identifiers:
            raise SourceError(f"the camera of the source {settings.name} gives no images: choose another one")
        self._stream = stream = device.create_data_stream()
        stream.open(identifiers[0])
        opened.callback(_quietly, stream.close)
        size = stream.payload_size if stream.defines_payload_size() else self._nodes.PayloadSize.value
        buffers = []
        for index in range(max(_BUFFERS, stream.buffer_announce_min)):
            buffers.append(stream.announce_buffer(gentl.BufferToken(bytes(size), index)))
            opened.callback(_quietly, stream.revoke_buffer, buffers[-1])
        opened.callback(_quietly, stream.flush_buffer_queue, gentl.ACQ_QUEUE_TYPE_LIST.ACQ_QUEUE_ALL_DISCARD)
        token = stream.register_event(gentl.EVENT_TYPE_LIST.EVENT_NEW_BUFFER)
        self._arrived = gentl.EventManagerNewBuffer(token)
        opened.callback(_quietly, self._arrived.unregister_event)
        for buffer in buffers:
            stream.queue_buffer(buffer)
        self._begin(gentl, genapi)
        self._first_id, self._number = None, 0
        self._heard_at = time.monotonic()

    def _begin(self, gentl: Any, genapi: Any) -> None:
        nodes, stream, opened = self._nodes, self._stream, self._opened
        lock = _feature(nodes, "TLParamsLocked", genapi)
        if lock is not None:
            lock.value = 1
            opened.callback(_quietly, setattr, lock, "value", 0)
        stream.start_acquisition(gentl.ACQ_START_FLAGS_LIST.ACQ_START_FLAGS_DEFAULT)
        opened.callback(_quietly, stream.stop_acquisition, gentl.ACQ_STOP_FLAGS_LIST.ACQ_STOP_FLAGS_KILL)
        nodes.AcquisitionStart.execute()
        opened.callback(_quietly, nodes.AcquisitionStop.execute)

    def read(self, timeout_s: float) -> Frame | None:
        """The next frame that arrived whole; None where none came within the time.

        Raises:
            SourceError: the camera does not answer any more, or gives what is no image.
        """
        from genicam import genapi, gentl

        deadline = time.monotonic() + timeout_s
        try:
            while True:
                try:
                    self._arrived.update_event_data(0)
                except gentl.TimeoutException:
                    now = time.monotonic()
                    if now - self._heard_at > _SILENCE_S:
                        self._nodes.Width.value  # noqa: B018 - a camera that is gone does not answer
                        self._heard_at = now
                    if now >= deadline:
                        return None
                    time.sleep(min(_ASK_EVERY_S, deadline - now))
                    continue
                frame = self._frame_of(self._arrived.buffer, gentl)
                if frame is not None:
                    return frame
        except (gentl.GenericException, genapi.GenericException) as error:
            raise SourceError(
                f"the camera of the source {self._settings.name} was lost ({_first_line(error)}): it is opened again "
                "until it is back"
            ) from error

    def _frame_of(self, buffer: Any, gentl: Any) -> Frame | None:
        """The frame in a buffer, which is given back; None where it did not arrive whole."""
        self._heard_at = time.monotonic()
        try:
            identifier = int(buffer.frame_id)
            if not buffer.is_complete():
                return None
            if not buffer.contains_image():
                raise SourceError(
                    f"the camera of the source {self._settings.name} must send plain images, got the payload type "
                    f"{buffer.payload_type}: switch off GenDC and several components in it"
                )
            start = _known(lambda: int(buffer.image_offset), gentl)
            padding = _known(lambda: int(buffer.padding_x), gentl)
            data = memoryview(buffer.raw_buffer)[start:]
            pixels = to_pixels(data, int(buffer.pixel_format), int(buffer.height), int(buffer.width), padding)
        finally:
            self._stream.queue_buffer(buffer)
        if self._first_id is None:
            self._first_id = identifier
        # identifiers of 16 bits begin again, those of some cameras at 1
        ahead = identifier - self._first_id + 1
        self._number = ahead if ahead > self._number else self._number + 1
        name = f"{self._settings.name}-{self._number:06}"
        return Frame(number=self._number, at=datetime.now(UTC), name=name, pixels=pixels)

    def close(self) -> None:
        """Close the camera; no error where it is closed already."""
        self._opened.close()
        self._stream = self._nodes = self._arrived = None

    def _set_features(self, genapi: Any) -> None:
        """Set the features that the settings name, in their order.

        Raises:
            SourceError: there is no such feature, or it does not take the value.
        """
        what = f"the camera of the source {self._settings.name}"
        for name, value in self._settings.nodes.items():
            node = _feature(self._nodes, name, genapi)
            if node is None:
                near = difflib.get_close_matches(name, _features(self._nodes, genapi), 1)
                remedy = f"did you mean {near[0]}?" if near else "look its name up in the camera's manual"
                raise SourceError(f"{what} has no feature {name}: {remedy}")
            try:
                if isinstance(node, genapi.ICommand):
                    if value:
                        node.execute()
                elif isinstance(node, genapi.IInteger) and isinstance(value, float) and value.is_integer():
                    node.value = int(value)
                else:
                    node.value = value
            except (genapi.GenericException, TypeError, ValueError) as error:
                refusal = f"{what} does not take {value!r} for its feature {name} ({_first_line(error)})"
                raise SourceError(f"{refusal}: choose another value") from error


def _node_map(device: Any, genapi: Any) -> tuple[Any, Any]:
    """The features of a camera, as the description says that it holds; and what must live for as long as they do.

    Raises:
        SourceError: it holds none that can be read.
    """

    class _Port(genapi.AbstractPort):  # type: ignore[misc]
        def get_access_mode(self) -> Any:
            return genapi.EAccessMode.RW

        def read(self, address: int, length: int) -> bytes:
            content: bytes = device.remote_port.read(address, length)[1]
            return content

        def write(self, address: int, value: bytes) -> None:
            device.remote_port.write(address, value)

    nodes = genapi.NodeMap()
    _load(nodes, device.remote_port)
    port = _Port()
    nodes.connect(port, device.remote_port.name)
    return nodes, port


def _load(nodes: Any, port: Any) -> None:
    """Load the first description of a camera that is in the camera or in a file."""
    for information in port.url_info_list:
        place, _, rest = str(information.url).partition(":")
        rest = rest.partition("?")[0]
        if place.lower() == "local":
            name, address, size = rest.lstrip("/").split(";")
            content = bytes(port.read(int(address, 16), int(size, 16))[1])
        elif place.lower() == "file":
            path = Path(rest.lstrip("/") if rest.startswith("///") and rest[4:5] == ":" else rest.removeprefix("//"))
            name, content = path.name, path.read_bytes()
        else:
            continue
        if not name.lower().endswith(".zip"):
            nodes.load_xml_from_string(content.rstrip(b"\0").decode("utf-8"))
            return
        with tempfile.TemporaryDirectory() as folder:
            packed = Path(folder, "description.zip")
            packed.write_bytes(content)
            nodes.load_xml_from_zip_file(str(packed))
        return
    raise SourceError("a GenICam camera must hold a description of its features, got none: update its firmware")


def _features(nodes: Any, genapi: Any) -> list[str]:
    """The names of the features of a camera."""
    return [str(name) for name in dir(nodes) if _feature(nodes, str(name), genapi) is not None]


def _feature(nodes: Any, name: str, genapi: Any) -> Any:
    """The feature of that name; None where there is none, or a heading over several."""
    try:
        node = nodes.get_node(name)
    except genapi.GenericException:
        return None
    return None if isinstance(node, genapi.ICategory) else node


def _known(value: Any, gentl: Any) -> int:
    """A value that producers need not know; 0 where it is not known."""
    try:
        return int(value())
    except gentl.GenericException:
        return 0


def _quietly(close: Any, *arguments: Any) -> None:
    """Close something that may be gone already."""
    with suppress(Exception):
        close(*arguments)


def _first_line(error: Exception) -> str:
    """What the package says, without what it puts around it."""
    text = str(error).strip().partition("\n")[0].removeprefix("GenTL exception: ")
    text = re.sub(r"^(Node|Feature) '[^']*' : ", "", text)
    return text.partition(" : ")[0].partition(" (Message")[0].rstrip(". ")
