"""Which good images are independent of one another, as far as labels, pixels and distances tell."""

from __future__ import annotations

import numpy as np

from onlygood._plurals import pluralize
from onlygood.calibration.group_kinds import group_kinds_note
from onlygood.calibration.near_duplicates import FEW, near_duplicate_groups
from onlygood.calibration.two_kinds import two_kinds_note
from onlygood.datasets.sources import file_ranks, ranks_of
from onlygood.datasets.splits import merge_groups
from onlygood.errors import FolderError, SettingError
from onlygood.features.extraction import Features
from onlygood.features.input_kind import InputKind
from onlygood.features.known_images import KnownImages
from onlygood.features.noise_scale import noise_scale
from onlygood.settings import FitSettings

# Leave-one-out learns without each group in turn, and from a single thing no variation can be learned.
LEAST_GROUPS = 3


def independent_groups(
    features: Features, kind: InputKind, settings: FitSettings, *, golden: int, show_progress: bool = False
) -> tuple[list[int], list[str], float]:
    """A label an image; images with different labels may be treated as independent. Notes about it; and how far apart
    the descriptors of two images of one thing lie, 0 where it was not looked at.

    Args:
        features: the good images.
        kind: what the model takes.
        settings: of the fit.
        golden: how many golden images all of these are augmentations of; 0 if they are images of parts.
        show_progress: draw a bar if stderr is a terminal.

    Raises:
        FolderError: images of too few independent things.
        SettingError: augmentations of a golden sample that do not differ.
    """
    if golden:
        different = len(set(features.digests))
        if 2 * different < features.given:
            has_copies = len(set(features.digests[:golden])) < golden
            raise SettingError(
                f"most augmentations of a golden sample must differ from one another, got {different} different "
                f"images among {features.given}: "
                + ("leave out copies" if has_copies else "widen a range, such as augment_brightness")
            )
        # Augmentations of one image are near-duplicates by design, and independent given the image.
        return list(range(features.given)), [], 0.0
    # Copies are with the image that they are made of by its label; small ones are alike whatever they show.
    own = [position for position, source in enumerate(features.sources) if not source.is_copy]
    sources, digests = (
        [features.sources[position] for position in own],
        [features.digests[position] for position in own],
    )
    scale = 0.0
    if settings.near_duplicates == "group":
        scale = noise_scale(
            sources,
            features.describe,
            kind.window,
            seed=settings.seed,
            others=kind.windows[1:],
            has_mask=settings.alpha == "mask",
            show_progress=show_progress,
        )
        alike, unclear = near_duplicate_groups(
            features.descriptors[own],
            digests,
            noise_scale=scale,
            file_order=file_ranks(sources),
        )
    else:
        alike, unclear = near_duplicate_groups(None, digests)
    different = len(set(digests))
    labels = [source.label for source in features.sources]
    apart = range(len(alike), len(alike) + len(labels))
    sets = dict(zip(own, alike, strict=True))
    groups = merge_groups(labels, [sets.get(position, apart[position]) for position in range(len(labels))])
    count = len(set(groups))
    doubled = len(alike) - len(set(alike))
    products = None
    if len({labels[position] for position in own}) < len(own):
        # Of images of nearly the same thing, one: they are close whatever their group is.
        ours = [own[first] for first in np.unique(alike, return_index=True)[1].tolist()]
        products = group_kinds_note(
            features.descriptors[ours], [labels[each] for each in ours], [features.sources[each].name for each in ours]
        )
    if count < LEAST_GROUPS:
        raise FolderError(
            f"calibration needs good images of at least {LEAST_GROUPS} independent things, got {len(groups)} "
            f"images in {pluralize(count, 'group')} of one session or (nearly) the same: add other parts"
            + (", or since these groups look like products, fit a model to each with --product-by" if products else "")
            + (", or if these differ, add --near-duplicates ignore" if len(set(alike)) < different else "")
        )
    notes = []
    if unclear is not None and len(set(labels)) == len(own):
        notes.append(unclear)
    else:
        # Of many images of one thing, one: they are alike, and that is no kind.
        firsts = np.unique(groups, return_index=True)[1]
        kinds = two_kinds_note(features.descriptors[firsts], [features.sources[first].name for first in firsts])
        notes += [] if kinds is None else [kinds]
    notes += [] if products is None else [products]
    if doubled:
        notes.append(_doubled_note(alike))
    return groups, notes, scale


def groups_of_known(known: KnownImages, settings: FitSettings) -> tuple[list[int], list[str]]:
    """As `independent_groups`, of images whose pixels may be gone.

    Args:
        known: what is known of them.
        settings: of the fit.

    Raises:
        FolderError: images of too few independent things.
    """
    is_grouped = settings.near_duplicates == "group"
    alike, unclear = near_duplicate_groups(
        known.descriptors if is_grouped else None,
        known.digests,
        noise_scale=known.noise_scale,
        file_order=ranks_of(known.names),
    )
    groups = list(alike) if known.labels is None else merge_groups(known.labels, alike)
    count = len(set(groups))
    if count < LEAST_GROUPS:
        raise FolderError(
            f"an update must leave good images of at least {LEAST_GROUPS} independent things, got {len(groups)} "
            f"images in {pluralize(count, 'group')} of one session or (nearly) the same: take fewer out, or add other "
            "parts"
        )
    notes = [unclear] if unclear is not None and known.labels is None else []
    return groups, [*notes, *([_doubled_note(alike)] if len(set(alike)) < len(alike) else [])]


def _doubled_note(alike: list[int]) -> str:
    sizes = np.bincount(alike)
    return (
        f"{int(sizes[sizes > 1].sum())} of {len(alike)} good images are near-duplicates of one another, in "
        f"{pluralize(int((sizes > 1).sum()), 'set')}: each set is kept on one side of every split and counts as one"
        + (", or if a set holds different parts, add --near-duplicates ignore." if sizes.max() > FEW else ".")
    )
