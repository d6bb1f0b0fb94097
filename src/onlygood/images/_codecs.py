"""Decoders that a build of imagecodecs may lack: those on the package index have them all, others have fewer."""

from onlygood.errors import ImageError


def need_codec(codec: str, kind: str, name: str) -> None:
    """Nothing, if imagecodecs was built with a decoder.

    Args:
        codec: what imagecodecs calls it, in capitals.
        kind: what errors call the format.
        name: what errors call the image.

    Raises:
        ImageError: if it was not.
    """
    import imagecodecs

    if not getattr(imagecodecs, codec).available:
        article = "an" if kind[0] in "AEIOU" else "a"
        raise ImageError(
            f"{name} is {article} {kind} image, and this build of imagecodecs has no decoder of it: install another, "
            "as pip does"
        )
