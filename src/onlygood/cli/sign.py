"""`onlygood sign`: say of a model file that the holder of a key made it, and make such keys."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from onlygood.cli.console import EXIT_GOOD, show
from onlygood.errors import SettingError, WriteError


def add_options(sign: argparse.ArgumentParser) -> None:
    """The options of `onlygood sign`."""
    sign.description = (
        "Sign a model file with a private key, so that commands with --require-signature and the public key refuse "
        "any other file. The signature goes into the model file, in place of an earlier one."
    )
    sign.add_argument("model", metavar="MODEL", nargs="?", help="a model file that fit or calibrate wrote")
    sign.add_argument("--key", metavar="KEY", help="the private key to sign with (PEM, Ed25519)")
    sign.add_argument("-o", "--output", metavar="SIGNED", help="the file to write (default: the model file itself)")
    sign.add_argument(
        "--new-key",
        metavar="KEY",
        help="make a key: write the private one to this new file, and the public one to KEY.pub beside it",
    )
    sign.set_defaults(command=run_sign)


def run_sign(options: argparse.Namespace) -> int:
    """`onlygood sign`."""
    if options.new_key is not None:
        if options.model is not None or options.key is not None or options.output is not None:
            raise SettingError("--new-key makes a key and signs nothing, got it with a model or a key: give it alone")
        return _make_key(Path(options.new_key))
    if options.model is None or options.key is None:
        missing = "model" if options.model is None else "--key"
        raise SettingError(f"sign needs a model file and --key with a private key, got no {missing}: give both")
    from onlygood._files import write_atomically
    from onlygood.graph.content import HIGHEST_LIMIT
    from onlygood.graph.model_file import read_model_file
    from onlygood.graph.signature import fingerprint_in, sign_content

    target = options.output or options.model
    signed = sign_content(read_model_file(options.model, max_bytes=HIGHEST_LIMIT).content, options.key)
    write_atomically(target, signed)
    show(f"{target}: signed by the key {fingerprint_in(signed)}")
    return EXIT_GOOD


def _make_key(path: Path) -> int:
    from onlygood._files import check_writable, write_atomically
    from onlygood.graph.signature import make_keys

    public_path = path.with_name(f"{path.name}.pub")
    for each in (path, public_path):
        if each.exists():
            raise WriteError(f"{each} must be a new file, got one that is there: keep it, and choose another name")
        check_writable(each)
    private, public = make_keys()
    try:
        # Nobody else may read it from the moment that it is there.
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(private)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise WriteError(f"{path} cannot be written: {reason}: choose another place or make room") from error
    write_atomically(public_path, public)
    show(f"{path}: a private key; keep it where models are signed, and nowhere else")
    show(f"{public_path}: its public key; give it to --require-signature")
    return EXIT_GOOD
