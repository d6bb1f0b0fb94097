"""`python -m onlygood` is `onlygood`."""

from onlygood.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
