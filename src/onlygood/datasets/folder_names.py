"""What the names of folders and files say of the images in them: good, defects, masks, a part of a data set, service.

One table for all commands. A name counts only where it leaves no doubt; where it does, commands that must know ask.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import PurePosixPath


class FolderKind(Enum):
    """What a folder's name says of the images in it."""

    GOOD = "good"
    MAYBE_GOOD = "maybe good"
    DEFECTS = "defects"
    MASKS = "masks"
    TRAIN = "train"
    TEST = "test"
    SERVICE = "service"


# Folders that a storage system, an archive or an operating system keeps for itself.
_SERVICE = frozenset(
    {"@eadir", "@recently-snapshot", "@recycle", "@sharebin", "@tmp", "#recycle", "#snapshot", "~snapshot"}
    | {"@synologyclouddrive", "@synologycloudsync", "@transcode", "network trash folder", "temporary items"}
    | {"$recycle.bin", "recycled", "recycler", "system volume information", "lost+found", "found.000", "__macosx"}
    | {"_thumbs", "thumbnails", "thumbs"}
    | {".thumbnails", ".appledouble", ".snapshot", ".zfs", ".trash", ".@__thumb", "__pycache__"}
)
# Words that say nothing of whether the images are good.
_NEUTRAL = frozenset(
    {"all", "back", "bottom", "cam", "camera", "class", "data", "dir", "folder", "front", "image", "images", "img"}
    | {"bild", "bilder", "teil", "teile", "pieces", "品", "图", "图像", "图片", "画像", "이미지"}
    | {"imgs", "left", "of", "part", "parts", "photo", "photos", "pic", "pics", "picture", "pictures", "right"}
    | {"sample", "samples", "set", "side", "top", "type", "types"}
)
_GOOD = frozenset(
    {"accept", "accepted", "approved", "conforming", "faultless", "flawless", "good", "goods", "gut", "healthy"}
    | {"intact", "io", "nominal", "normal", "normals", "ok", "okay", "pass", "passed", "undamaged"}
    | {"defectfree", "noanomaly", "noanomalies", "nodefect", "nodefects", "nonanomalous", "nondefective"}
    | {"notdefective", "faultfree"}
    | {"einwandfrei", "fehlerfrei", "fehlerlos", "gute", "gutteil", "gutteile", "inordnung"}
    | {"bon", "bonne", "bonnes", "bons", "conforme", "conformes", "conformi"}
    | {"buena", "buenas", "bueno", "buenos", "buone", "buoni", "buono", "bom", "normale", "normales"}
    | {"годен", "годные", "норма", "хорошие"}
    | {"良品", "良い", "合格", "合格品", "好品", "正常", "正常品", "正常样本", "无缺陷", "無缺陷", "양품", "정상"}
)
# Those that mean nothing else even among other words: "good_with_glare", but not "pass_through".
_SURELY_GOOD = frozenset({"good", "ok", "okay", "normal"})
# They mean good to some, and something else to others.
_MAYBE_GOOD = frozenset({"0", "clean", "correct", "free", "negative", "negatives", "perfect"})
_DEFECTS = frozenset(
    {"abnormal", "anomalies", "anomalous", "anomaly", "bad", "broken", "contaminated", "contamination", "crack"}
    | {"cracked", "cracks", "damage", "damaged", "damages", "def", "defect", "defective", "defects", "defekt"}
    | {"defekte", "dent", "dented", "dents", "fail", "failed", "fails", "fault", "faults", "faulty", "fehler", "ko"}
    | {"ng", "nio", "nok", "notok", "reject", "rejected", "rejects", "schlecht", "scrap", "scratch", "scratched"}
    | {"scratches", "nonconforming"}
    | {"ausschuss", "beschadigt", "beschaedigt", "defekten", "fehlerhaft", "fehlerhafte", "kaputt", "nichtinordnung"}
    | {"schlechte", "schlechtteil", "schlechtteile"}
    | {"defaut", "defauts", "defectueuses", "defectueux", "mauvais", "mauvaise", "mauvaises", "nonconforme"}
    | {"nonconformes", "nonconformi", "naoconforme", "rebut", "rebuts"}
    | {"defecto", "defectos", "defectuosa", "defectuosas", "defectuoso", "defectuosos", "defeito", "defeitos"}
    | {"defeituoso", "defeituosos", "difetti", "difetto", "difettosi", "difettoso", "malo", "malos", "scarti"}
    | {"брак", "дефект", "дефектов", "дефекты"}
    | {"不合格", "不合格品", "不良", "不良品", "坏品", "废品", "异常", "異常", "次品"}
    | {"悪い", "有缺陷", "欠陥", "瑕疵", "缺陷", "缺陷样本"}
    | {"결함", "불량", "불량품", "비정상"}
)
_NEGATIONS = frozenset(
    {"free", "no", "non", "not", "without", "zero", "keine", "nicht", "ohne", "sans", "sem", "senza", "sin", "без"}
)
_MASKS = frozenset(
    {"annotation", "annotations", "groundtruth", "groundtruths", "gt", "mask", "masks", "segmentations"}
    | {"segmentation", "segmentationclass", "segmentationobject"}
    | {"掩码", "掩膜", "遮罩", "マスク"}
)
_TRAIN = frozenset({"train", "training", "trainset", "训练", "训练集", "学習", "訓練"})
_TEST = frozenset({"test", "testing", "testset", "val", "valid", "validation", "测试", "测试集", "验证", "テスト"})
_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[^\W\d_]?[^\W\d_A-Z]+|[A-Z]+|[0-9]+")
# What is put behind an image's name to name its mask; `_label` only where most images have one.
_MASK_ENDING = re.compile(r"[-_. ](masks?|gt|ground_?truth|seg(mentation)?)$", re.IGNORECASE)
_LABEL_ENDING = re.compile(r"[-_. ]labels?$", re.IGNORECASE)
_LABELS = re.compile(r"labels?$", re.IGNORECASE)


def folder_kind(name: str) -> FolderKind | None:
    """What a folder's own name says of its images; None where it says nothing, or too little.

    Upper and lower case, accents, digits behind a word, and what stands between words make no difference: `OK`,
    `ok_front` and `2-ok` are good, `NODefect_images` and `合格品` are, and `good_with_glare` is nothing for certain.
    The words are English, and the commonest of some other languages.

    Args:
        name: of the folder, without those above it.
    """
    if name.casefold() in _SERVICE:
        return FolderKind.SERVICE
    name = _without_accents(name)
    plain = re.sub(r"[\W_]", "", name.casefold())
    for words, kind in (
        (_GOOD, FolderKind.GOOD),
        (_MAYBE_GOOD, FolderKind.MAYBE_GOOD),
        (_DEFECTS, FolderKind.DEFECTS),
        (_MASKS, FolderKind.MASKS),
        (_TRAIN, FolderKind.TRAIN),
        (_TEST, FolderKind.TEST),
    ):
        if plain in words:
            return kind
    return _kind_of_words({word.casefold() for word in _WORD.findall(name) if not word.isdigit()} - _NEUTRAL)


def _without_accents(name: str) -> str:
    """The name as the words above are spelled, however a file system writes its accents."""
    parts = unicodedata.normalize("NFKD", name)
    return unicodedata.normalize("NFC", "".join(each for each in parts if not "\u0300" <= each <= "\u036f"))


def _kind_of_words(words: set[str]) -> FolderKind | None:
    if words & _MASKS or {"ground", "truth"} <= words:
        return FolderKind.MASKS
    if words & _DEFECTS:
        return FolderKind.GOOD if words & _NEGATIONS else FolderKind.DEFECTS
    if words & _GOOD and words & _NEGATIONS:
        return FolderKind.DEFECTS if words <= _GOOD | _NEGATIONS else None
    if words and words <= _GOOD:
        return FolderKind.GOOD
    if words & (_SURELY_GOOD | _MAYBE_GOOD):
        return FolderKind.MAYBE_GOOD
    return None


def masks_beside(relatives: Iterable[str]) -> Mapping[str, str]:
    """Files whose names say that they are the masks of others: each with the name of its image.

    The mask of `lot3/7.jpg` is called `lot3/7_mask.png` (or `_gt`, `_ground_truth`, `-mask`, ...), in the same folder
    or in a folder within it. `7_label.png` counts only in a folder `Label` or where many images have one: labels are
    also what is stuck on bottles.

    Args:
        relatives: names of image files, with forward slashes.
    """
    paths = [PurePosixPath(each) for each in relatives]
    by_stem = {str(path.with_suffix("")): str(path) for path in paths}
    found: dict[str, str] = {}
    labels: dict[str, str] = {}
    for path in paths:
        for ending, pairs in ((_MASK_ENDING, found), (_LABEL_ENDING, labels)):
            stem = ending.sub("", path.stem)
            if stem == path.stem or not stem:
                continue
            for folder in (path.parent, path.parent.parent):
                image = by_stem.get(str(folder / stem))
                if image is not None:
                    is_apart = ending is _LABEL_ENDING and folder != path.parent and _LABELS.match(path.parent.name)
                    (found if is_apart else pairs)[str(path)] = image
                    break
    if 3 * len(labels) >= len(paths):
        found.update(labels)
    return found
