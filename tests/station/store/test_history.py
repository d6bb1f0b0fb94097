"""The history: narrowed down, page by page, as a table, and as a set of images."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from inspected import inspected
from PIL import Image

from onlygood.datasets.labelled import find_labelled
from onlygood.errors import NotFoundError, StoreError
from onlygood.station.schemas import ImageRegion, Label, Verdict
from onlygood.station.store.store import Store
from textures import texture

START = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def remembered(store: Store) -> Store:
    """Twelve inspections of two models from three sources, an hour apart."""
    for number in range(12):
        store.recorder.record(
            inspected(
                model="part" if number % 2 else "lid",
                source=("http", "line", "page")[number % 3],
                name=f"Image {number:02d}_100%.PNG",
                verdict=Verdict.ANOMALOUS if number % 4 == 0 else Verdict.GOOD,
                score=number - 6.0,
                at=START + timedelta(hours=number),
                notes=["darker"] if number == 5 else [],
                content=str(number).encode(),
            )
        )
    store.feedback.add(1, Label.GOOD, by="anna", note="=1+1")
    store.feedback.add(2, Label.GOOD)
    store.feedback.add(2, Label.DEFECT, by="anna")
    return store


NARROWED: list[tuple[dict[str, Any], Sequence[int]]] = [
    ({}, range(1, 13)),
    ({"model": "lid"}, (1, 3, 5, 7, 9, 11)),
    ({"model": "nothing"}, ()),
    ({"model": "a\x00\udcff"}, ()),
    ({"verdict": Verdict.ANOMALOUS}, (1, 5, 9)),
    ({"label": Label.GOOD}, (1,)),
    ({"label": Label.DEFECT}, (2,)),
    ({"label": "any"}, (1, 2)),
    ({"label": "none"}, range(3, 13)),
    ({"source": "line"}, (2, 5, 8, 11)),
    ({"since": START + timedelta(hours=10)}, (11, 12)),
    ({"since": (START + timedelta(hours=10)).replace(tzinfo=None)}, (11, 12)),
    ({"since": (START + timedelta(hours=10)).astimezone(timezone(timedelta(hours=-9)))}, (11, 12)),
    ({"until": START + timedelta(hours=2)}, (1, 2)),
    ({"since": datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))}, range(1, 13)),
    ({"since": datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-14)))}, ()),
    ({"name": "image 1"}, (11, 12)),
    ({"name": "0%.png"}, range(1, 13)),
    ({"name": "_1%"}, ()),
    ({"name": "\\"}, ()),
    ({"has_notes": True}, (6,)),
    ({"has_notes": False, "model": "part", "source": "line"}, (2, 8)),
]


def test_it_can_be_narrowed_down(remembered: Store) -> None:
    for wanted, numbers in NARROWED:
        found = [record.id for record in remembered.inspections.each(**wanted)]
        assert found == list(numbers), wanted
        page = remembered.inspections.page(**wanted, limit=100)
        assert [record.id for record in page.inspections] == found[::-1]
        assert page.next_before is None
        assert remembered.inspections.count(**wanted) == len(found)
        assert len(list(remembered.inspections.export_csv(**wanted))) == 1 + len(found)


def test_pages_hang_together(remembered: Store) -> None:
    seen: list[int] = []
    before = None
    for _ in range(4):
        page = remembered.inspections.page(before=before, limit=4, verdict=Verdict.GOOD)
        seen += [record.id for record in page.inspections]
        before = page.next_before
        # What comes meanwhile is on none of the pages that follow.
        remembered.recorder.record(inspected())
        if before is None:
            break
    assert seen == [12, 11, 10, 8, 7, 6, 4, 3, 2]


def test_any_number_can_be_asked_for(remembered: Store) -> None:
    for before, found in ((1, 0), (0, 0), (-5, 0), (3, 2), (2**63, 12), (10**30, 12)):
        assert len(remembered.inspections.page(before=before).inspections) == found


def test_what_is_not_there(remembered: Store) -> None:
    for id in (0, -1, 99, 2**63 - 1, 2**63, 10**40):
        for asked in (remembered.inspections.get, lambda id: remembered.feedback.add(id, Label.GOOD)):
            with pytest.raises(NotFoundError, match=f"inspection {id} must be one that is remembered, and is none"):
                asked(id)
        assert remembered.inspections.image(id) is None
        assert remembered.inspections.some([id, 1]) == [remembered.inspections.get(1)]


def test_a_count_can_stop(remembered: Store) -> None:
    assert remembered.inspections.count(most=5) == 5


def test_the_latest_word_holds_and_comes_with_every_way_to_it(remembered: Store) -> None:
    record = remembered.inspections.get(2)
    assert record.feedback is not None
    assert (record.feedback.label, record.feedback.by, record.feedback.note) == (Label.DEFECT, "anna", "")
    assert remembered.inspections.page().inspections[-2] == record
    assert list(remembered.inspections.each())[1] == record


def test_the_table_is_safe_in_spreadsheets_and_exact(store: Store) -> None:
    names = ["=cmd|' /C calc'!A0", '"quoted", with; all', "two\nlines", "+49", "Größe ☃", "\u202egpj.exe"]
    for name in names:
        new = inspected(
            name=name,
            score=0.1 + 0.2,
            regions=[ImageRegion(top=1, left=2, bottom=3, right=4, peak=5.0)],
            notes=["=1", "b"],
        )
        store.recorder.record(new)
    store.feedback.add(1, Label.DEFECT, by="anna", note="=HYPERLINK(1)")
    text = "".join(store.inspections.export_csv())
    assert text.startswith('\ufeff"id","at","model"')
    assert text.count("\r\n") == 1 + len(names)
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff")), strict=True))
    assert [row["name"] for row in rows] == [
        "'=cmd|' /C calc'!A0",
        '"quoted", with; all',
        "two\\nlines",
        "'+49",
        "Größe ☃",
        "\\u202egpj.exe",
    ]
    first = rows[0]
    assert float(first["score"]) == 0.1 + 0.2
    assert (first["regions"], first["notes"], first["label"], first["label_note"]) == (
        "1 2 3 4",
        "'=1; b",
        "defect",
        "'=HYPERLINK(1)",
    )
    assert datetime.fromisoformat(first["at"]) == store.inspections.get(1).at


def table_of(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))


@pytest.fixture
def marked(store: Store) -> Store:
    """Images whose truth is known, and some whose is not."""
    for number in range(8):
        store.recorder.record(
            inspected(content=f"image {number}".encode(), verdict=Verdict.ANOMALOUS, suffix=".PNG", name="../../x.png")
        )
    store.recorder.record(inspected(content=None))
    store.feedback.add(1, Label.GOOD, note="a scratch? no")
    store.feedback.add(2, Label.DEFECT)
    store.feedback.add(3, Label.GOOD)
    store.feedback.add(4, Label.GOOD)
    store.feedback.add(9, Label.GOOD)
    store.feedback.learned([3], 2)
    first = store.taught.add("part", "t.jpg", b"taught", width=1, height=1)
    store.taught.leave_out(store.taught.add("part", "u.jpg", b"left out", width=1, height=1).id)
    # This one was taught, too: it does not test what has learned from it.
    store.taught.add("part", "v.png", b"image 3", suffix="./../x", width=1, height=1)
    store.taught.add("lid", "w.jpg", b"of another", width=1, height=1)
    assert first.id == 1
    return store


EXPECTED = {
    "part/train/good/taught-000001.jpg": b"taught",
    "part/train/good/taught-000003": b"image 3",
    "lid/train/good/taught-000004.jpg": b"of another",
    "part/test/good/00000001.png": b"image 0",
    "part/test/defect/00000002.png": b"image 1",
    "part/train/good/00000003.png": b"image 2",
}


def test_a_set_in_mvtecs_layout_as_a_folder(marked: Store, tmp_path: Path) -> None:
    marked.inspections.export_mvtec(tmp_path / "set")
    files = {
        path.relative_to(tmp_path / "set").as_posix(): path.read_bytes()
        for path in (tmp_path / "set").rglob("*")
        if path.is_file()
    }
    rows = table_of(files.pop("images.csv"))
    assert files == EXPECTED
    assert {row["file"] for row in rows} == set(EXPECTED)
    by_name = {row["file"]: row for row in rows}
    assert by_name["part/train/good/00000003.png"]["why"] == "marked, learned in version 2"
    assert by_name["part/test/good/00000001.png"]["note"] == "a scratch? no"
    assert by_name["part/test/good/00000001.png"]["name"] == "../../x.png"
    with pytest.raises(StoreError, match="a folder to export to must be empty"):
        marked.inspections.export_mvtec(tmp_path / "set")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="the images cannot be exported to"):
        marked.inspections.export_mvtec(tmp_path / "file")


def test_an_image_that_was_marked_twice_is_there_once(store: Store) -> None:
    for label in (Label.GOOD, Label.DEFECT):
        store.feedback.add(store.recorder.record(inspected()).id, label)
    with zipfile.ZipFile(io.BytesIO(b"".join(store.inspections.mvtec_zip()))) as archive:
        assert archive.namelist() == ["part/test/good/00000001.jpg", "images.csv"]
        rows = table_of(archive.read("images.csv"))
    assert [(row["file"], row["what"], row["why"]) for row in rows] == [
        ("part/test/good/00000001.jpg", "good", "marked"),
        ("part/test/good/00000001.jpg", "defect", "marked, the same image as one before"),
    ]


def test_an_image_that_is_damaged_is_left_out_of_a_set(marked: Store) -> None:
    digest = marked.inspections.get(2).image_sha256
    assert digest is not None
    (marked.data / "images" / digest[:2] / digest[2:4] / digest).write_bytes(b"other")
    with zipfile.ZipFile(io.BytesIO(b"".join(marked.inspections.mvtec_zip(model="part")))) as archive:
        assert set(archive.namelist()) == {name for name in EXPECTED if "part/t" in name} - {
            "part/test/defect/00000002.png"
        } | {"images.csv"}


def test_the_same_as_a_zip_that_is_sent_while_it_is_made(marked: Store) -> None:
    blocks = list(marked.inspections.mvtec_zip(model="part"))
    assert len(blocks) > 4
    whole = io.BytesIO()
    marked.inspections.export_mvtec(whole, model="part")
    for content in (b"".join(blocks), whole.getvalue()):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            assert archive.testzip() is None
            files = {name: archive.read(name) for name in archive.namelist()}
        assert len(table_of(files.pop("images.csv"))) == 5
        assert files == {name: content for name, content in EXPECTED.items() if name.startswith("part/")}


def test_a_set_of_some(marked: Store) -> None:
    wanted: dict[str, Any]
    for wanted, files in (
        ({"label": Label.DEFECT}, {"part/test/defect/00000002.png"}),
        ({"label": "none"}, set()),
        ({"model": "none"}, set()),
        ({"verdict": Verdict.GOOD}, set()),
        ({"source": "http", "label": Label.GOOD}, {"part/test/good/00000001.png", "part/train/good/00000003.png"}),
    ):
        with zipfile.ZipFile(io.BytesIO(b"".join(marked.inspections.mvtec_zip(**wanted)))) as archive:
            assert set(archive.namelist()) == {"images.csv", *files}, wanted


def test_onlygood_reads_the_set_that_it_exported(store: Store, tmp_path: Path) -> None:
    for number in range(6):
        content = io.BytesIO()
        Image.fromarray(texture(number, (32, 32))).save(content, format="PNG")
        store.recorder.record(inspected(content=content.getvalue(), suffix=".png"))
        store.feedback.add(number + 1, Label.DEFECT if number < 2 else Label.GOOD)
    store.inspections.export_mvtec(tmp_path / "set")
    found = find_labelled(tmp_path / "set" / "part")
    assert sorted(image.is_anomalous for image in found.images) == [False] * 4 + [True] * 2
