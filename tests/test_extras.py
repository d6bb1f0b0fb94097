"""Libraries that only some commands need."""

import sys
from types import ModuleType

import pytest

from onlygood._extras import need_extra
from onlygood.errors import MissingExtraError


def test_a_library_that_another_thread_imports_at_this_moment_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    half_imported = ModuleType("half_imported")
    half_imported.__spec__ = None
    monkeypatch.setitem(sys.modules, "half_imported", half_imported)
    need_extra("half-imported", module="half_imported", extra="station", purpose="a camera")


def test_a_library_that_is_missing_is_named_with_what_installs_it() -> None:
    with pytest.raises(MissingExtraError, match=r"a camera needs no-such, which is not installed: run pip install"):
        need_extra("no-such", module="no_such_module", extra="station", purpose="a camera")
