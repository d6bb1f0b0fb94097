"""The sizes in which pages show images, and the map of an inspected image as a message."""

from __future__ import annotations

from onlygood.station.shown_images import ShownImages
from onlygood.station.web.live_messages import pack, small_map, verdict_entries

# Long sides, in pixels, that a page may ask for.
SIDES = (240, 800, 1600)


def map_message(shown: ShownImages, id: int) -> bytes:
    """A live message with the anomaly map of an inspected image, computed by the version that inspected it.

    Args:
        shown: that inspects it again.
        id: of the inspection.

    Raises:
        NotFoundError: the image, or that version's file, is not kept.
        BusyError: too many images wait to be inspected.
    """
    record, inspection = shown.inspected_again(id)
    entry, map_bytes = small_map(inspection)
    header = {"map": entry, "width": record.width, "height": record.height, "image": None}
    return pack(header | verdict_entries(inspection), b"", map_bytes)
