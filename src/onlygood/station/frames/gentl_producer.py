"""The library of a camera's maker, a GenTL producer: loaded once for all cameras that it serves.

A producer lets one program open it, and one user open each of its interfaces, so that all cameras share them.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from onlygood._extras import need_extra
from onlygood.errors import SourceError

_SEARCH_MS = 2000
_ACCESSIBLE = (1, 2)  # DEVICE_ACCESS_STATUS_READWRITE and READONLY


@dataclass
class _Opened:
    """One producer that is loaded.

    Attributes:
        producer: of the package genicam.
        system: of the producer.
        interfaces: that are open, by their identifiers.
        users: cameras that are open through it.
    """

    producer: Any
    system: Any
    interfaces: dict[str, Any] = field(default_factory=dict)
    users: int = 0


_opened: dict[str, _Opened] = {}
_lock = threading.RLock()


def need_genicam() -> None:
    """Refuse to go on without the package.

    Raises:
        MissingExtraError: it is not installed.
    """
    need_extra("genicam", module="genicam", extra="genicam", purpose="a GenICam camera")


def open_device(path: str, serial: str, source: str) -> Any:
    """A camera, open for this program alone. Give it back with `close_device`.

    Args:
        path: of the producer.
        serial: of the camera, or its identifier; empty for the first one that is free.
        source: whose camera it is.

    Raises:
        SourceError: the producer cannot be loaded, or there is no such camera, or another program uses it.
    """
    from genicam import gentl

    with _lock:
        opened = _open_producer(path, source)
        opened.users += 1
        try:
            found = _find(opened, serial, source)
            device = found.create_device()
            device.open(gentl.DEVICE_ACCESS_FLAGS_LIST.DEVICE_ACCESS_EXCLUSIVE)
            return device
        except gentl.GenericException as error:
            _leave(path)
            raise SourceError(
                f"the camera of the source {source} cannot be opened ({_said(error)}): check it"
            ) from error
        except BaseException:
            _leave(path)
            raise


def close_device(path: str, device: Any) -> None:
    """Close a camera of `open_device`, and the producer after the last one."""
    from genicam import gentl

    with _lock:
        try:
            device.close()
        except gentl.GenericException:
            pass  # it was unplugged
        finally:
            _leave(path)


def _open_producer(path: str, source: str) -> _Opened:
    from genicam import gentl

    if path in _opened:
        return _opened[path]
    remedy = "give the path of the file that ends with .cti, which the maker of the camera installs"
    if not Path(path).is_file():
        raise SourceError(f"the GenTL producer of the source {source} is not there: {path} must be a file, {remedy}")
    producer = gentl.GenTLProducer.create_producer()
    try:
        producer.open(path)
        system = producer.create_system()
        system.open()
    except gentl.GenericException as error:
        raise SourceError(
            f"the GenTL producer {path} of the source {source} cannot be loaded ({_said(error)}): {remedy}"
        ) from error
    _opened[path] = _Opened(producer, system)
    return _opened[path]


def _find(opened: _Opened, serial: str, source: str) -> Any:
    """The camera with the serial number, or the first that is free.

    Raises:
        SourceError: there is none, or another program uses it.
    """
    opened.system.update_interface_info_list(_SEARCH_MS)
    names = []
    is_in_use = False
    for information in opened.system.interface_info_list:
        interface = opened.interfaces.get(information.id_)
        if interface is None:
            interface = information.create_interface()
            interface.open()
            opened.interfaces[information.id_] = interface
        interface.update_device_info_list(_SEARCH_MS)
        for device in interface.device_info_list:
            names.append(_serial_of(device))
            if serial in ("", device.id_, names[-1]):
                if device.access_status in _ACCESSIBLE:
                    return device
                is_in_use = True
    asked = f"with the serial number {serial} " if serial else ""
    if is_in_use:
        raise SourceError(f"the camera {asked}of the source {source} is used by another program: end that program")
    found = f"there are {', '.join(names)}" if names else "there is none"
    remedy = "plug it in, or give the serial number of another"
    raise SourceError(f"a camera {asked}is needed for the source {source}, and {found}: {remedy}")


def _serial_of(device: Any) -> str:
    from genicam import gentl

    try:
        return str(device.serial_number) or str(device.id_)
    except gentl.GenericException:
        return str(device.id_)


def _leave(path: str) -> None:
    """One user less; without any the producer is closed."""
    from genicam import gentl

    opened = _opened[path]
    opened.users -= 1
    if opened.users > 0:
        return
    del _opened[path]
    for close in (*(one.close for one in opened.interfaces.values()), opened.system.close, opened.producer.close):
        try:
            close()
        except gentl.GenericException:
            continue  # what is left is closed with the library


def _said(error: Exception) -> str:
    """What a producer says of an error, without the frame that the package puts around it."""
    text = str(error).strip()
    _, _, inner = text.partition("(Message from the source: ")
    said = inner.partition(") (ID")[0].strip() if inner else ""
    return said or text.removeprefix("GenTL exception: ").partition(" (Message")[0].partition(" (ID")[0].rstrip(".")
