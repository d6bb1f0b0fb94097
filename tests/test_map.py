"""What holds of `Inspector.map`: order, errors as values, memory, threads."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import onlygood
from onlygood import inspector as inspector_module
from onlygood.errors import FolderError, ImageError, SettingError
from textures import save, texture, textures, twelve_bit, with_defect


@pytest.fixture(scope="module")
def inspector(model_path: Path) -> onlygood.Inspector:
    return onlygood.Inspector(model_path)


def test_verdicts_come_in_order_and_errors_as_values_with_names(
    inspector: onlygood.Inspector, new_folder: Path, tmp_path: Path
) -> None:
    pages = [Image.fromarray(texture(100)), Image.fromarray(with_defect(texture(101)))]
    pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    images = [
        new_folder / "b.png",
        texture(102),
        tmp_path / "none.png",
        onlygood.NamedImage("lot 7", with_defect(texture(103))),
        twelve_bit(0),
        onlygood.NamedImage("the second page", tmp_path / "stack.tif", page=1),
        None,
    ]
    found = list(inspector.map(images))  # type: ignore[arg-type]
    assert [each.name for each in found] == [
        *(str(new_folder / "b.png"), "image 1", str(tmp_path / "none.png"), "lot 7", "image 4", "the second page"),
        "image 6",
    ]
    verdicts = [None if isinstance(each, ImageError) else each.is_anomaly for each in found]
    assert verdicts == [True, False, None, True, None, True, None]
    assert str(found[2]).startswith(f"{tmp_path / 'none.png'} does not exist")
    assert str(found[4]).startswith("image 4 has 16 bits a channel")
    alone = inspector(new_folder / "b.png")
    assert isinstance(found[0], onlygood.Inspection)
    assert (found[0].score, found[0].p_value) == (pytest.approx(alone.score, rel=1e-4), alone.p_value)
    assert found[0].anomaly_map is not None and found[0].anomaly_map.shape == (96, 96)


def test_an_error_of_one_image_knows_its_name(inspector: onlygood.Inspector) -> None:
    with pytest.raises(ImageError) as caught:
        inspector(twelve_bit(0), name="lot 7")
    assert caught.value.name == "lot 7"


def test_a_folder_is_searched_and_its_images_are_called_as_inspect_does(
    inspector: onlygood.Inspector, new_folder: Path
) -> None:
    for folder in (new_folder, str(new_folder)):
        assert [each.name for each in inspector.map(folder)] == ["a.png", "b.png", "lot/c.png"]
    assert [each.name for each in inspector.map(new_folder / "a.png")] == ["a.png"]


def test_an_array_of_arrays_is_several_images(inspector: onlygood.Inspector) -> None:
    several = np.stack([texture(100), with_defect(texture(101))])[..., None]
    found = [each.is_anomaly for each in inspector.map(several) if isinstance(each, onlygood.Inspection)]
    assert found == [False, True]
    assert list(inspector.map([])) == []


@pytest.mark.parametrize("image", [texture(1), b"bytes", Image.fromarray(texture(1)), 7, None])
def test_one_image_where_several_are_meant_is_refused_at_once(inspector: onlygood.Inspector, image: Any) -> None:
    with pytest.raises(SettingError, match="map takes a folder or several images, got one"):
        inspector.map(image)


def test_what_cannot_be_mapped_is_refused_at_once(inspector: onlygood.Inspector, tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="is empty"):
        inspector.map(tmp_path)
    with pytest.raises(SettingError, match="threads must be 0"):
        inspector.map([texture(0)], threads=-1)


@pytest.mark.parametrize("threads", [1, 3])
def test_images_are_taken_a_few_ahead_and_by_one_thread(inspector: onlygood.Inspector, threads: int) -> None:
    taken: list[int] = []
    takers = set()

    def endless() -> Iterator[Any]:
        while True:
            taken.append(len(taken))
            takers.add(threading.get_ident())
            yield texture(100, (32, 32))

    found = inspector.map(endless(), threads=threads)
    assert taken == []
    for count in range(1, 6):
        next(found)
        assert len(taken) <= count + 2 * threads
    found.close()  # type: ignore[attr-defined]
    assert takers == {threading.get_ident()}
    assert not [each for each in threading.enumerate() if "ThreadPoolExecutor" in each.name]


def test_an_error_of_the_iterable_itself_is_raised(inspector: onlygood.Inspector) -> None:
    def broken() -> Iterator[Any]:
        yield texture(100)
        raise RuntimeError("the camera is gone")

    with pytest.raises(RuntimeError, match="the camera is gone"):
        list(inspector.map(broken()))


@pytest.fixture
def threads_used(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """How many threads the sessions have that run images, filled as they run."""
    used: set[int] = set()
    keep = inspector_module.run

    def spy(session: Any, *rest: Any) -> Any:
        used.add(session.session.get_session_options().intra_op_num_threads)
        return keep(session, *rest)

    monkeypatch.setattr(inspector_module, "run", spy)
    return used


def test_several_images_at_once_take_one_thread_each_and_one_image_as_many_as_asked_for(
    model_path: Path, new_folder: Path, threads_used: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    keep = inspector_module.open_model

    def spy(*arguments: Any, **named: Any) -> Any:
        opened.append(named["threads"])
        return keep(*arguments, **named)

    monkeypatch.setattr(inspector_module, "open_model", spy)
    inspector = onlygood.Inspector(model_path, threads=3)
    inspector(texture(0))
    assert threads_used == {3}
    threads_used.clear()
    for _ in range(2):
        list(inspector.map([texture(seed) for seed in range(4)], threads=2))
    assert threads_used == {1}
    assert opened == [3, 1], "the second session is opened once"
    threads_used.clear()
    list(inspector.map([texture(0)]))
    assert threads_used == {3}
    one = onlygood.Inspector(model_path, threads=1)
    list(one.map(new_folder))
    assert opened == [3, 1, 1], "one that has one thread needs no second session"


def test_an_evaluation_and_its_report_take_one_thread_an_image(
    model_path: Path, tmp_path: Path, threads_used: set[int]
) -> None:
    save(tmp_path / "test" / "good", {f"{seed}.png": texture(seed) for seed in (90, 91)})
    save(tmp_path / "test" / "blot", {f"{seed}.png": with_defect(texture(seed)) for seed in (92, 93)})
    from onlygood.report import write_evaluation_report

    inspector = onlygood.Inspector(model_path)
    evaluation = onlygood.evaluate(inspector, tmp_path / "test")
    write_evaluation_report(tmp_path / "a.html", evaluation, inspector)
    assert threads_used == {1}


def test_inspectors_of_one_model_can_be_mapped_at_once(model_path: Path) -> None:
    inspector = onlygood.Inspector(model_path)
    images = textures(4)
    expected = [each.score for each in inspector.map(images) if isinstance(each, onlygood.Inspection)]
    found: dict[int, list[float]] = {}

    def work(number: int) -> None:
        found[number] = [each.score for each in inspector.map(images) if isinstance(each, onlygood.Inspection)]

    workers = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    assert list(found.values()) == [expected] * 4


def test_a_map_by_occlusion_is_made_for_each(model_path: Path, new_folder: Path) -> None:
    inspector = onlygood.Inspector(model_path, by_occlusion=True)
    found = list(inspector.map([new_folder / "b.png"] * 2, threads=2))
    alone = inspector(new_folder / "b.png")
    for each in found:
        assert isinstance(each, onlygood.Inspection) and each.anomaly_map is not None
        assert alone.anomaly_map is not None
        np.testing.assert_allclose(each.anomaly_map, alone.anomaly_map, atol=1e-3 * float(alone.anomaly_map.max()))


def test_paths_of_any_kind_are_taken(inspector: onlygood.Inspector, new_folder: Path) -> None:
    entries = sorted((entry for entry in os.scandir(new_folder) if entry.is_file()), key=lambda entry: entry.name)
    assert [Path(each.name or "").name for each in inspector.map(entries)] == ["a.png", "b.png"]
