"""Images that are to join a fitted model: what its own graph makes of them, and whether they are of the same part."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx

from onlygood._plurals import pluralize
from onlygood._spacing import evenly_spaced
from onlygood.datasets.sources import Source
from onlygood.detectors.base import Embedding
from onlygood.errors import FolderError
from onlygood.features.extraction import Embedder, Features, extract_features
from onlygood.features.input_kind import InputKind
from onlygood.graph.costs import CostBound
from onlygood.graph.cut import cut_graph
from onlygood.graph.runtime import open_session, run
from onlygood.graph.verdict import RAW_SCORE
from onlygood.images.reading import ImageArray
from onlygood.inspection import as_input
from onlygood.kind_notes import difference_notes, differences
from onlygood.metadata import Metadata
from onlygood.settings import FitSettings

# Further images that the model before is asked about; where it calls more than this share of them anomalous, they may
# be of another part, or no good ones.
CHECKED = 10
MOST_ANOMALOUS = 0.5
# Fewer may well be what somebody adds since they were called anomalous.
LEAST_ANOMALOUS = 3


@dataclass(frozen=True)
class FurtherImages:
    """How further images are read, by the model that they are to join.

    Attributes:
        model: its graph.
        trunk: the part of it up to the embeddings.
        embedding: of its detector.
        metadata: of it.
        costs: of running it.
        called: what messages call it.
    """

    model: onnx.ModelProto
    trunk: onnx.ModelProto
    embedding: Embedding
    metadata: Metadata
    costs: CostBound
    called: str

    def features(
        self,
        sources: Sequence[Source],
        kind: InputKind,
        settings: FitSettings,
        *,
        there: Container[str],
        show_progress: bool,
    ) -> tuple[Features | None, list[str]]:
        """What is found of those that the model does not know, None where there are none; and notes.

        Args:
            sources: the images.
            kind: what the model takes.
            settings: of the update.
            there: digests of the images that the model knows.
            show_progress: draw a bar if stderr is a terminal.

        Raises:
            FolderError: images that cannot be read, or that the model does not take.
        """
        if not sources:
            return None, []
        found = extract_features(
            [replace(source, read=_Checked(source, self.metadata, self.costs)) for source in sources],
            Embedder(self.trunk, self.embedding.outputs, has_mask=kind.has_mask),
            kind,
            settings,
            rows_each=self.embedding.rows_each,
            show_progress=show_progress,
            what="further good",
        )
        further = [place for place, digest in enumerate(found.digests) if digest not in there]
        count = found.given - len(further)
        if not count:
            return found, list(found.notes)
        note = (
            f"{pluralize(count, 'image', verb='is')} left out, as the model has learned from "
            f"{'it' if count == 1 else 'them'} already, by their pixels."
        )
        return (found.at(further) if further else None), [*found.notes, note]

    def checked(self, features: Features, *, accept_anomalous: bool) -> list[str]:
        """What the model before says of further images, as notes.

        Args:
            features: of them.
            accept_anomalous: whatever it says.

        Raises:
            FolderError: most of them are anomalous, and that is not accepted.
        """
        head = cut_graph(self.model, outputs=[RAW_SCORE], inputs=self.embedding.outputs, name=self.called)
        session = open_session(head.SerializeToString(), threads=1)
        chosen = evenly_spaced(features.given, CHECKED).tolist()
        above = 0
        for position in chosen:
            values = features.embeddings(position)
            feeds = {name: value[None] for name, value in zip(self.embedding.outputs, values, strict=True)}
            (raw,) = run(session, [RAW_SCORE], feeds)
            above += bool(raw[0] > np.float32(self.metadata.calibration.threshold))
        of = f"{above} of {len(chosen)} further images"
        if above >= LEAST_ANOMALOUS and above > MOST_ANOMALOUS * len(chosen) and not accept_anomalous:
            raise FolderError(
                f"further images must be good ones of the part that the model {self.called} was fitted to, got {of} "
                "that it calls anomalous: look at them with `onlygood inspect`, and if they are good add "
                "--accept-anomalous"
            )
        good = self.metadata.good_images
        differing = [
            (source.name, differences(kind, good))
            for source, kind in zip(features.sources, features.kinds, strict=True)
        ]
        return [f"The model before calls {of} anomalous.", *difference_notes(differing, features.given)]


@dataclass(frozen=True)
class _Checked:
    """Reads an image, and refuses one that the model could not inspect."""

    source: Source
    metadata: Metadata
    costs: CostBound

    def __call__(self) -> ImageArray:
        pixels = self.source.read()
        taken = as_input(self.metadata, pixels, self.source.name)
        self.costs.check((1, *taken.shape))
        return pixels
