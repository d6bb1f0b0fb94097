"""Files of tests, by their names."""

from pathlib import Path

from hostile import encoded, noise

PNG = encoded(noise(1, 4, 4), "PNG")


def put(root: Path, *names: str, data: bytes = PNG) -> Path:
    """The folder, with files of these names and one content in it."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def touch(root: Path, *names: str) -> Path:
    """The folder, with empty files of these names in it, for what looks at names alone."""
    return put(root, *names, data=b"")
