"""`onlygood` and `python -m onlygood`: the command line as a process of its own.

Nothing but the standard library is imported before it is settled how the process ends.
"""

from __future__ import annotations

from onlygood._ending import end_as_others, end_on_signals


def main() -> int:
    """Run the command line of this process. Returns its exit code, as `onlygood.cli.main`."""
    end_on_signals()
    from onlygood.cli import main as run

    try:
        return run()
    finally:
        end_as_others()


if __name__ == "__main__":
    raise SystemExit(main())
