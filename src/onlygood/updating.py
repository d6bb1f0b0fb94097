"""Update: good images join a fitted model, or are taken out, without the pixels of those that it has learned from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from onlygood._integers import check_threads
from onlygood._parallel import one_blas_thread
from onlygood._verification import verify
from onlygood._version import __version__
from onlygood.another_threshold import SIGNATURE_NOTE
from onlygood.datasets.sources import GoodImages, Source, list_sources
from onlygood.datasets.splits import hold_out
from onlygood.detectors.base import Embedding, FitTask, Learned, Past, Split
from onlygood.detectors.registry import method_class
from onlygood.errors import (
    BackboneError,
    FolderError,
    ModelFileError,
    OnlygoodError,
    SettingError,
    VerificationError,
)
from onlygood.features.extraction import Features, set_digest
from onlygood.features.independence import LEAST_GROUPS, groups_of_known
from onlygood.features.input_kind import InputKind
from onlygood.features.known_images import MOST_KNOWN, KnownImages, joined
from onlygood.further_images import FurtherImages
from onlygood.graph.content import MAX_MODEL_BYTES
from onlygood.graph.cut import cut_graph
from onlygood.graph.model_file import OUTPUTS, ModelFile, pack
from onlygood.graph.runtime import open_session, run
from onlygood.graph.signature import fingerprint_in
from onlygood.graph.subgraph import join
from onlygood.graph.verdict import verdict
from onlygood.graph.view import set_outside
from onlygood.images.reading import ChannelOrder, ReadingLimits
from onlygood.images.window import Window
from onlygood.kept_images import kept_text, read_kept, unfit
from onlygood.metadata import BackboneFacts, Metadata, Update
from onlygood.model import CalibratedModel, ModelSource, file_and_name
from onlygood.removal import Removed, positions_to_remove
from onlygood.settings import FitSettings, MethodSettings
from onlygood.threshold_notes import odd_note
from onlygood.update_results import UpdateResults

# Letters of the name of an update.
_LONGEST_NAME = 100
_OF_EVERY_FIT = ("threshold_rule", "calibration", "calibration_fraction", "near_duplicates", "seed")


def update(
    model: ModelSource,
    add: GoodImages | None = None,
    *,
    remove: Removed | None = None,
    name: str | None = None,
    group_by: str | None = None,
    groups: Sequence[str] | None = None,
    channel_order: ChannelOrder = "rgb",
    accept_anomalous: bool = False,
    skip_unreadable: bool = False,
    backbone: str | None = None,
    at: datetime | None = None,
    threads: int = 0,
    max_pixels: int = ReadingLimits.max_pixels,
    max_bytes: int = ReadingLimits.max_bytes,
    require_signature: str | os.PathLike[str] | None = None,
    max_model_bytes: int = MAX_MODEL_BYTES,
    progress: bool = False,
) -> CalibratedModel:
    """The same detector with further good images, or without some; the model that is given stays as it is.

    Memory, whitening and calibration become what a fit to all images would give, closely: the images that the model
    has learned from are not needed, as its file keeps what decides of each of them. The threshold follows by the same
    rule and rate from the calibration scores of all.

    Args:
        model: path of a model file, what `onlygood.fit`, `calibrate` or `update` returned, or an Inspector of one.
        add: further good images, as `onlygood.fit` takes them; those whose pixels the model knows are left out.
        remove: images that are taken out: names as they were called, `update:3` or `update:` and a name for all of an
            update (`update:0` for those of the fit), a text file (.txt) with one of these a line, or folders and images
            that are found by their pixels; one of these or a sequence.
        name: of this update, to speak of it later.
        group_by: what says which further images are of one session or part, as for `onlygood.fit`; that of the fit
            unless given.
        groups: for a sequence of images, one label an image instead.
        channel_order: of arrays with colour among the images, as for `onlygood.fit`.
        accept_anomalous: take further images also where the model calls more than half of them anomalous.
        skip_unreadable: leave out images that cannot be read instead of refusing.
        backbone: path of the backbone's file, for a model that was fitted with one by its path.
        at: when the update is made, for the history; now unless given.
        threads: images worked on at once; 0 for one a core.
        max_pixels: most pixels that one image may have.
        max_bytes: most bytes that one image's file may have.
        require_signature: path of a public key: the model must be signed by its holder. The new one is not signed.
        max_model_bytes: most bytes that the model file may have.
        progress: draw progress bars if stderr is a terminal.

    Raises:
        SettingError: nothing to do, a name or an update that is not there, or groups or a key that cannot be used.
        FolderError: images that cannot be read or are no further ones, of which most are anomalous, or that are not in
            the model; or too few that are left.
        ModelFileError: the model cannot be used, or not be updated.
        BackboneError: the backbone is not there, or is another one.
        VerificationError: the new file gives other scores than those it was calibrated with.

    Example:
        >>> import onlygood
        >>> model = onlygood.update("part.onnx", "new", accept_anomalous=True)
        >>> [(each.number, each.added, each.images) for each in model.metadata.updates]
        [(1, 4, 16)]
        >>> model.save("updated.onnx")
    """
    if add is None and remove is None:
        raise SettingError("update needs images to add or to remove, got neither: give one of them")
    if add is None and (group_by is not None or groups is not None):
        raise SettingError("group_by and groups go with images to add, got none: give images, or leave them out")
    check_threads(threads)
    file, called = file_and_name(model, max_model_bytes=max_model_bytes, require_signature=require_signature)
    limits = ReadingLimits(max_pixels=max_pixels, max_bytes=max_bytes)
    known, arrays = read_kept(file, called)
    _check_name(name, file.metadata)
    removed = np.empty(0, dtype=np.int64)
    if remove is not None:
        removed = positions_to_remove(
            remove, known, file.metadata.updates, limits=limits, threads=threads, channel_order=channel_order
        )
    sources: list[Source] = []
    notes: list[str] = []
    if add is not None:
        group_by = group_by if group_by is not None or groups is not None else _group_by(file.metadata, add)
        found = list_sources(
            add,
            group_by=group_by,
            groups=groups,
            limits=limits,
            allow_one=True,
            command="update",
            channel_order=channel_order,
        )
        sources, notes = found.sources, found.notes
    settings = _settings(file.metadata, group_by, threads, skip_unreadable=skip_unreadable)
    task = _Updating(
        file=file,
        called=called,
        known=known,
        arrays=arrays,
        removed=removed,
        sources=sources,
        is_grouped=group_by is not None or groups is not None,
        settings=settings,
        method=_method(file.metadata, backbone),
        name=name,
        at=datetime.now(UTC) if at is None else at,
        accept_anomalous=accept_anomalous,
        notes=notes,
        show_progress=progress,
    )
    with one_blas_thread():
        return task.run()


def _check_name(name: str | None, metadata: Metadata) -> None:
    if name is None:
        return
    if not isinstance(name, str) or not name.strip() or len(name) > _LONGEST_NAME or not name.isprintable():
        raise SettingError(f"the name of an update must be a line of 1 to {_LONGEST_NAME} letters, got {name!r}")
    if name.isdecimal() or name in [each.name for each in metadata.updates]:
        raise SettingError(
            f"the name of an update must be no number and no other update's, got {name!r}: choose another one"
        )


def _group_by(metadata: Metadata, add: GoodImages) -> str | None:
    """That of the fit, where it can be used with what is given."""
    found = metadata.settings.get("group_by")
    are_paths = isinstance(add, str | os.PathLike) or (
        isinstance(add, Sequence) and all(isinstance(item, str | os.PathLike) for item in add)
    )
    return found if isinstance(found, str) and are_paths else None


def _settings(metadata: Metadata, group_by: str | None, threads: int, *, skip_unreadable: bool) -> FitSettings:
    """What of the fit's settings matters to an update."""
    chosen = {each: metadata.settings[each] for each in _OF_EVERY_FIT if each in metadata.settings}
    return FitSettings(
        **chosen,
        false_alarm_rate=metadata.guarantee.requested_rate,
        group_by=group_by,
        threads=threads,
        skip_unreadable=skip_unreadable,
    ).resolved(method_class(metadata.method).model_construct())


def _method(metadata: Metadata, backbone: str | None) -> MethodSettings:
    """The method with the settings of the fit."""
    kind = method_class(metadata.method)
    chosen = {each: metadata.settings[each] for each in kind.model_fields if each in metadata.settings}
    return kind(**(chosen if backbone is None else {**chosen, "backbone": backbone}))


@dataclass(frozen=True, kw_only=True)
class _Updating:
    """One update: its inputs, and the steps in the order in which they are taken."""

    file: ModelFile
    called: str
    known: KnownImages
    arrays: dict[str, NDArray[Any]]
    removed: NDArray[np.int64]
    sources: Sequence[Source]
    is_grouped: bool
    settings: FitSettings
    method: MethodSettings
    name: str | None
    at: datetime
    accept_anomalous: bool
    notes: Sequence[str]
    show_progress: bool

    @property
    def metadata(self) -> Metadata:
        """Of the model before."""
        return self.file.metadata

    @property
    def kind(self) -> InputKind:
        """What the detector in the model is shown."""
        given = self.metadata.input
        looked_at = 1.0 if given.region is None else given.region.looked_at
        return InputKind(
            dtype=np.dtype(given.dtype),
            window=Window(*given.window),
            size=self.known.size,
            has_mask=looked_at < 1.0,
            looked_at=looked_at,
        )

    def run(self) -> CalibratedModel:
        staying = np.setdiff1d(np.arange(len(self.known)), self.removed)
        number = len(self.metadata.updates) + 1
        self.check_count(len(staying))
        task = FitTask(
            kind=self.kind,
            images=len(staying) + len(self.sources),
            settings=self.settings,
            show_progress=self.show_progress,
        )
        detector = self.method.make_detector(task)
        embedding = detector.embedding
        self.require_same(embedding)
        model = onnx.load_model_from_string(self.file.content)
        others = [value.name for value in model.graph.output if value.name not in OUTPUTS]
        trunk = cut_graph(model, outputs=[*embedding.outputs, *others], name=self.called)
        further = FurtherImages(model, trunk, embedding, self.metadata, self.file.costs, self.called)
        features, notes = further.features(
            self.sources,
            self.kind,
            self.settings,
            there={self.known.digests[each] for each in staying.tolist()},
            show_progress=self.show_progress,
        )
        notes = [*self.notes, *notes]
        if features is not None:
            notes += further.checked(features, accept_anomalous=self.accept_anomalous)
        elif not len(self.removed):
            raise FolderError(
                f"update needs good images that the model has not learned from, got {len(self.sources)} that it knows "
                "already: nothing is to be done"
            )
        known = self.join(staying, features, number)
        groups, duplicate_notes = groups_of_known(known, self.settings)
        known = replace(known, held_out=self.held_out(known, groups, len(staying)))
        split = Split(groups=groups, held_out=known.held_out)
        past = Past(arrays=self.arrays, batches=self.known.batches, staying=staying, number=number)
        try:
            learned = detector.update(past, features, split)
        except OnlygoodError:
            raise
        except (LookupError, ValueError) as error:
            raise unfit(self.called, error) from error
        self.require_backbone(learned)
        results = UpdateResults(self.metadata, self.settings, known, split, learned)
        odd = odd_note(results.calibration, results.good_images)
        about = (*duplicate_notes, *learned.notes, *((odd,) if odd else ()))
        # How a map becomes one of the whole image is as it was: the view of the image stays the same.
        mapping = cut_graph(model, outputs=["anomaly_map"], inputs=["patch_scores"], without=trunk, name=self.called)
        set_outside(mapping, results.map_levels.typical)
        graph = join(
            trunk,
            *learned.head,
            verdict(results.calibration, opset=embedding.opset),
            mapping,
            outputs=[*OUTPUTS, *others],
        )
        record = self.record(results, [] if features is None else features.digests, notes, number)
        unreadable = 0 if features is None else len(features.unreadable)
        file = pack(
            graph, results.described(record, notes=about, unreadable=unreadable), kept=kept_text(known, learned)
        )
        signature = [SIGNATURE_NOTE] if fingerprint_in(self.file.content) is not None else []
        updated = CalibratedModel(
            file=file,
            guarantee=results.guarantee,
            calibration=results.calibration,
            notes=(*notes, *about, *signature),
        )
        self.verify(updated, learned, features, len(staying))
        return updated

    def check_count(self, staying: int) -> None:
        """Refuse to be left with too few images, or too many."""
        most = staying + len(self.sources)
        if most > MOST_KNOWN:
            raise FolderError(
                f"a model can be updated up to {MOST_KNOWN:,} good images, got {most:,}: add fewer, or fit again"
            )
        if most < LEAST_GROUPS:
            raise FolderError(
                f"an update must leave at least {LEAST_GROUPS} good images, got {most}: take fewer out, or add others"
            )

    def require_same(self, embedding: Embedding) -> None:
        """Refuse a detector that would not be the one in the file."""
        if embedding.input_shape != self.metadata.input.input_shape:
            ours, theirs = (
                " x ".join(map(str, shape)) for shape in (embedding.input_shape, self.metadata.input.input_shape)
            )
            raise ModelFileError(
                f"the model {self.called} must be one that this onlygood would fit in the same way, got an input of "
                f"{theirs} pixels where it would be {ours}: fit it again"
            )

    def require_backbone(self, learned: Learned) -> None:
        """Refuse a backbone of the same name that is another one."""
        theirs = self.metadata.backbone
        if learned.backbone is None or theirs is None:
            return
        ours = BackboneFacts(**learned.backbone.to_dict())
        if ours.sha256 != theirs.sha256:
            raise BackboneError(
                f"the model {self.called} must be updated with the backbone that it was fitted with, {theirs.name} "
                f"(digest {theirs.sha256[:12]}), got {ours.name} (digest {ours.sha256[:12]}): give that one with "
                "--backbone"
            )

    def join(self, staying: NDArray[np.int64], features: Features | None, number: int) -> KnownImages:
        """What is known of the images that stay, then of further ones."""
        old = self.known.at(staying)
        if features is None:
            return old
        labels = None
        if self.is_grouped:
            # "." is the folder that was given, which is another one each time.
            labels = [f"update {number}" if each.label == "." else each.label for each in features.sources]
        new = KnownImages(
            names=[source.name for source in features.sources],
            digests=features.digests,
            labels=labels,
            batches=np.full(features.given, number, dtype=np.int64),
            held_out=np.zeros(features.given, dtype=bool),
            descriptors=features.descriptors,
            kinds=features.kinds,
            noise_scale=old.noise_scale,
            size=old.size,
        )
        if new.descriptors.shape[1] != old.descriptors.shape[1]:
            raise unfit(self.called, ValueError("descriptors that do not fit together"))
        return joined(old, new)

    def held_out(self, known: KnownImages, groups: Sequence[int], old: int) -> NDArray[np.bool_]:
        """Which images only calibrate: as before, and of groups that are new, the same share."""
        held_out = known.held_out.copy()
        if self.settings.calibration != "split":
            return held_out
        labels = np.array(groups)
        theirs = dict(zip(labels[:old].tolist(), held_out[:old].tolist(), strict=True))
        held_out[old:] = [theirs.get(label, False) for label in labels[old:].tolist()]
        fresh = [position for position in range(old, len(labels)) if int(labels[position]) not in theirs]
        share = float(np.mean(list(theirs.values()))) if theirs else 0.0
        if len({int(labels[each]) for each in fresh}) > 1 and 0.0 < share < 1.0:
            held_out[fresh] = hold_out(labels[fresh].tolist(), share, seed=self.settings.seed + old)
        if len(set(labels[~held_out])) < LEAST_GROUPS or not held_out.any():
            raise FolderError(
                f"an update must leave good images of at least {LEAST_GROUPS} independent things to learn from, and of "
                f"one to calibrate with, got {len(set(labels[~held_out]))} and {len(set(labels[held_out]))}: take "
                "fewer out, or add others"
            )
        return held_out

    def record(self, results: UpdateResults, added: Sequence[str], notes: Sequence[str], number: int) -> Update:
        """The entry of the history.

        Args:
            results: of the update.
            added: digests of the further images.
            notes: about them.
            number: of the update.
        """
        removed = [self.known.digests[each] for each in self.removed.tolist()]
        before = self.metadata
        return Update(
            number=number,
            name=self.name,
            at=self.at.astimezone(UTC).replace(microsecond=0).isoformat(),
            added=len(added),
            added_sha256=set_digest(added) if added else None,
            removed=len(removed),
            removed_sha256=set_digest(removed) if removed else None,
            images=len(results.known),
            threshold_before=before.calibration.threshold,
            requested_rate=results.calibration.requested_rate,
            stated_rate_before=before.guarantee.stated_rate,
            model_sha256=before.content_sha256,
            notes=tuple(notes),
            onlygood=__version__,
        )

    def verify(self, updated: CalibratedModel, learned: Learned, features: Features | None, old: int) -> None:
        """Run the new file on some of the further images, or, where there are none, on one that shows nothing.

        Raises:
            VerificationError: its scores are not those that it was calibrated with, or not finite.
        """
        session = open_session(updated.file.content)
        if features is not None:
            verify(
                updated,
                session,
                features.given,
                image=lambda at: (features.sources[at].name, features.sources[at].read()),
                raw_score=lambda at: learned.finished_score(old + at),
                least_scale=learned.least_scale,
                remedy="try another version of onnxruntime and report this",
            )
            return
        shape = (1, *self.known.size, self.metadata.input.channels)
        empty = np.full(shape, round(sum(self.metadata.input.window) / 2), dtype=self.kind.dtype)
        (score,) = run(session, ["score"], {"image": empty})
        if not np.isfinite(score).all():
            raise VerificationError(
                f"the finished model must give every image a finite score, got {score[0]}: nothing was written; try "
                "another version of onnxruntime and report this"
            )
