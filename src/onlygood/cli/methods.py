"""`onlygood methods`: what there is to choose from."""

from __future__ import annotations

import argparse
import textwrap

from onlygood.cli.console import EXIT_GOOD, show, show_json


def add_options(methods: argparse.ArgumentParser) -> None:
    """The options of `onlygood methods`."""
    methods.description = (
        "List the methods, what each is for and what it needs. The options of one are shown by `onlygood "
        "fit --method NAME --help`."
    )
    methods.add_argument("--json", action="store_true", help="one JSON array on stdout, with the settings' schemas")
    methods.set_defaults(command=run_methods)


def run_methods(options: argparse.Namespace) -> int:
    """`onlygood methods`."""
    from onlygood.detectors.registry import methods

    found = methods()
    if options.json:
        described = [
            {
                "name": method.name,
                "summary": method.summary,
                "trains": method.trains,
                "extra": method.extra,
                "calibrations": list(method.calibrations),
                "settings": method.model_json_schema(),
            }
            for method in found
        ]
        show_json(described)
        return EXIT_GOOD
    width = max(len(method.name) for method in found)
    for method in found:
        needs = f"trains a network; needs pip install 'onlygood[{method.extra}]'" if method.trains else "trains nothing"
        lines = textwrap.wrap(method.summary, 78 - width)
        show(f"{method.name:<{width}}  {lines[0]}")
        for line in (*lines[1:], f"({needs}; calibration {' or '.join(method.calibrations)})"):
            show(f"{'':<{width}}  {line}")
    return EXIT_GOOD
