from pathlib import Path

import pytest

from files import touch
from onlygood.datasets.folder_names import FolderKind, folder_kind, masks_beside
from onlygood.datasets.folders import look_into
from onlygood.datasets.good_folders import named_as_defects
from onlygood.errors import NotAllGoodError

GOOD, MAYBE, DEFECTS, MASKS = FolderKind.GOOD, FolderKind.MAYBE_GOOD, FolderKind.DEFECTS, FolderKind.MASKS
TRAIN, TEST, SERVICE = FolderKind.TRAIN, FolderKind.TEST, FolderKind.SERVICE


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (
            GOOD,
            "good GOOD ok OK ok_front 2-ok Normal normal_dir NODefect_images no_defects defect-free i.O. Gut good_2",
        ),
        (MAYBE, "0 clean MT_Free good_with_glare negative"),
        (DEFECTS, "NG NG-HS nok ko bad abnormal_dir Anomaly MT_Crack def_front broken_large not_good n.i.O. Ausschuss"),
        (MASKS, "ground_truth GroundTruth gt Masks mask_dir Mask_images SegmentationClass SegmentationObject"),
        (GOOD, "Accept approved bueno Bons conforme 良品 合格品 正常_1 正常 양품 \u110b\u1163\u11bc\u1111\u116e\u11b7"),
        (DEFECTS, "Reject malo défauts de\u0301fauts_2 non_conforme NON-CONFORME 不良品 不合格 NG_缺陷 异常 불량"),
        (TRAIN, "train Training"),
        (TEST, "test val validation"),
        (SERVICE, "@eaDir #recycle $RECYCLE.BIN lost+found __MACOSX .thumbnails"),
        (None, "lot3 1 2024-05-01 left goodbye goodie pass_through hole cam1 undefined masked"),
    ],
)
def test_names_of_folders_say_what_lies_in_them(kind: FolderKind | None, names: str) -> None:
    assert {name: folder_kind(name) for name in names.split()} == dict.fromkeys(names.split(), kind)


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (GOOD, "bon Bons conforme sans_défaut buono bueno sin_defectos senza_difetti fehlerfrei Gutteile in_Ordnung"),
        (GOOD, "ohne_Fehler gut_1 良品 良品1 合格 合格品 正常 양품 норма OK品 без_дефектов"),
        (DEFECTS, "mauvais Défauts défaut De\u0301fauts non_conforme avec_défaut rebut difettoso Defectos defeito"),
        (DEFECTS, "fehlerhaft mit_Fehler beschädigt Schlechtteile nicht_in_Ordnung nicht_ok Ausschuß kaputt"),
        (DEFECTS, "不良品 不良 不合格 异常 異常 缺陷 瑕疵 불량 брак дефекты NG品"),
        (MASKS, "掩码 マスク"),
        (TRAIN, "训练集"),
        (TEST, "测试集 テスト"),
        (SERVICE, "Thumbs Thumbnails RECYCLED @Transcode"),
        (None, "équipe1 相机1 Schicht bonbons Bruchsal Kratzau sinus Nichtraucher 左 앞"),
    ],
)
def test_names_in_other_languages_say_so_too(kind: FolderKind | None, names: str) -> None:
    assert {name: folder_kind(name) for name in names.split()} == dict.fromkeys(names.split(), kind)


def test_masks_beside_their_images_are_told_by_their_names() -> None:
    names = [
        "a/1.png",
        "a/1_mask.png",
        "b/2.jpg",
        "b/Mask/2_GT.png",
        "3_mask.png",
        "gt.png",
        "c/4.png",
        "c/4_label.png",
    ]
    assert masks_beside(names) == {"a/1_mask.png": "a/1.png", "b/Mask/2_GT.png": "b/2.jpg"}
    assert list(masks_beside(["Test/1.PNG", "Test/2.PNG", "Test/3.PNG", "Test/4.PNG", "Test/Label/2_label.PNG"])) == [
        "Test/Label/2_label.PNG"
    ]
    # Labels are also what is stuck on bottles: they are masks where most images have one.
    assert masks_beside(["kos01/Part0.jpg", "kos01/Part0_label.bmp", "kos01/Part1.jpg", "kos01/Part1_label.bmp"]) == {
        "kos01/Part0_label.bmp": "kos01/Part0.jpg",
        "kos01/Part1_label.bmp": "kos01/Part1.jpg",
    }


LAYOUTS = {
    "mvtec": (
        "train/good/1.png test/good/1.png test/crack/1.png ground_truth/crack/1_mask.png",
        "ground_truth (masks, 1 image), test (test images, 2 images): give {root}/train/good",
    ),
    "btad": (
        "train/ok/1.bmp test/ok/1.bmp test/ko/1.bmp ground_truth/ko/1.png",
        "ground_truth (masks, 1 image), test (test images, 2 images): give {root}/train/ok",
    ),
    "visa": (
        "Data/Images/Normal/1.JPG Data/Images/Anomaly/1.JPG Data/Masks/Anomaly/1.png",
        "Data/Images/Anomaly (defects, 1 image), Data/Masks (masks, 1 image): give {root}/Data/Images/Normal",
    ),
    "casting": (
        "train/ok_front/1.jpeg train/def_front/1.jpeg test/ok_front/2.jpeg test/def_front/2.jpeg",
        "test (test images, 2 images), train/def_front (defects, 1 image): give {root}/train/ok_front",
    ),
    "good and bad": ("OK/1.png NG/1.png", "NG (defects, 1 image): give {root}/OK"),
    "good and a name that says nothing": ("good/1.png hole/1.png", "hole (beside good, 1 image): give {root}/good"),
    "labels as digits": ("0/1.png 1/1.png", "1 (beside 0, 1 image): give {root}/0"),
    "lots, each with both": (
        "lot1/ok/1.png lot1/nok/1.png lot2/ok/1.png",
        "lot1/nok (defects, 1 image): give {root}/lot1/ok {root}/lot2/ok",
    ),
    "defects among lots": (
        "lot1/1.png lot2/1.png rejects/1.png",
        "rejects (defects, 1 image): give the folders of good images by their names, or move the others away",
    ),
    "names of files": (
        "a/001_OK.png a/002_OK.png a/003_NG.png 004_ok.png",
        "a/003_NG.png (named as a defect beside 001_OK.png, 1 image): give the folders of good images by their names, "
        "or move the others away",
    ),
    "masks beside images": (
        "1.png 1_GT.png 2.png",
        "1_GT.png (named as the mask of an image, 1 image): give the folders of good images by their names, or move "
        "the others away, and the images whose masks mark a defect",
    ),
    "dagm": (
        "Class1/Train/0001.PNG Class1/Train/0002.PNG Class1/Train/Label/0002_label.PNG",
        "Class1/Train/Label/0002_label.PNG (named as the mask of an image, 1 image): give the folders of good images "
        "by their names, or move the others away, and the images whose masks mark a defect",
    ),
    "masks beside images that are to be tested": (
        "train/1.png test/1.png test/1_mask.png",
        "test (test images, 2 images): give {root}/train",
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_below_a_folder_of_good_images_and_is_not_good_is_refused_by_name(tmp_path: Path, layout: str) -> None:
    files, said = LAYOUTS[layout]
    touch(tmp_path, *files.split())
    with pytest.raises(NotAllGoodError) as raised:
        look_into(tmp_path, good="fit")
    stands = f"fit needs good images alone, and below {tmp_path} there is what does not look so: "
    assert str(raised.value) == stands + said.format(root=tmp_path)
    assert look_into(tmp_path).images  # where any images will do


@pytest.mark.parametrize(
    "files",
    [
        "1.png 2.png",
        "lot1/1.png lot2/1.png",
        "0/1.png 7/1.png 12/1.png",
        "good/1.png",
        "ok/1.png Normal/1.png",
        "good/lot1/1.png good/lot2/1.png",
        "train/1.png",
        "train/good/1.png",
        "test/1.png",
        "bottle.png bottle_label.png a.png b.png c.png",
        "good/1.png hole/notes.txt",
        "broken_line_cam_1.png broken_line_cam_2.png",
        "cast_ok_1.jpeg cast_ok_2.jpeg",
        "good_1.png scratch_free_2.png",
    ],
)
def test_folders_of_good_images_are_not_refused(tmp_path: Path, files: str) -> None:
    touch(tmp_path, *files.split())
    assert look_into(tmp_path, good="fit").images


def test_what_is_named_by_itself_is_not_judged(tmp_path: Path) -> None:
    touch(tmp_path, "NG/1.png", "rejects.zip")
    assert look_into(tmp_path / "NG", good="fit").images
    assert named_as_defects([str(tmp_path / "NG"), str(tmp_path), str(tmp_path / "rejects.zip"), "C:\\parts\\nok"]) == [
        str(tmp_path / "NG"),
        str(tmp_path / "rejects.zip"),
        "C:\\parts\\nok",
    ]
