"""How far apart two images of one unchanged thing lie in an embedding: measured on changed copies of a few images."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from onlygood._progress import track
from onlygood.augmentation.changes import Change
from onlygood.augmentation.channels import change_channels
from onlygood.datasets.sources import Source
from onlygood.images.channels import split_mask
from onlygood.images.reading import ImageArray
from onlygood.images.window import Window

# Images that are measured; each is embedded twice.
PROBES = 8
# What two images of one thing differ by: noise as strong as the image's own, within these bounds, as a share of the
# levels from black to white; half a pixel to either side; an exposure; and compression.
LEAST_NOISE = 1 / 255
MOST_NOISE = 8 / 255
SHIFT_PIXELS = 0.5
GAMMA = 1.1
JPEG_QUALITY = 90
# Noise is estimated in the flattest blocks of so many pixels a side, as texture looks like noise elsewhere.
BLOCK = 8
FLAT_SHARE = 0.1


def noise_scale(
    sources: Sequence[Source],
    describe: Callable[[ImageArray], NDArray[np.float32]],
    window: Window,
    *,
    seed: int,
    others: Sequence[Window] = (),
    has_mask: bool = False,
    gamma: float = GAMMA,
    show_progress: bool = False,
) -> float:
    """The median distance between the descriptors of two changed copies of one image, at least 0.

    Both copies are noisy, shifted and compressed alike, with noise of their own and in opposite directions. So what
    noise does to every image of a camera cancels, as it does between two real images, and what it does to one remains.

    Args:
        sources: the images; PROBES of them are measured.
        describe: an image's descriptor, float32 [d].
        window: the levels of black and white.
        seed: chooses images and noise.
        others: the levels of each further group of channels.
        has_mask: whether the last channel of the images is a mask.
        gamma: the exposure of one copy, and its inverse that of the other, at least 1.
        show_progress: draw a bar if stderr is a terminal.
    """
    generator = np.random.default_rng(seed)
    chosen = np.sort(generator.permutation(len(sources))[:PROBES])
    distances = []
    for position in track(chosen, total=len(chosen), description="comparing", show=show_progress):
        image = sources[position].read()
        height, width = image.shape[:2]
        colours, _ = split_mask(image, has_mask=has_mask)
        noise = float(np.clip(sensor_noise(colours) / (window.white - window.black), LEAST_NOISE, MOST_NOISE))
        pair = [
            describe(
                change_channels(
                    image,
                    Change(
                        noise=noise,
                        jpeg=JPEG_QUALITY,
                        gamma=gamma**sign,
                        shift_x=sign * SHIFT_PIXELS / width,
                        shift_y=sign * SHIFT_PIXELS / height,
                    ),
                    windows=[window, *others],
                    border="edge",
                    noise=generator,
                    has_mask=has_mask,
                )
            )
            for sign in (1, -1)
        ]
        distances.append(float(np.linalg.norm(pair[0].astype(np.float64) - pair[1])))
    return float(np.median(distances)) if distances else 0.0


def sensor_noise(image: ImageArray) -> float:
    """An estimate of the standard deviation of an image's noise, in levels; texture everywhere counts as noise.

    Source: Immerkaer, "Fast noise variance estimation", 1996: the response to the difference of two Laplacians, which
    lets neither edges nor slopes through; here of the flattest blocks alone.
    """
    levels = image[:, :, image.shape[2] // 2].astype(np.float32)  # grey, or green
    response = levels[:-2] - 2 * levels[1:-1] + levels[2:]
    response = response[:, :-2] - 2 * response[:, 1:-1] + response[:, 2:]
    rows, columns = (size // BLOCK for size in response.shape)
    if rows * columns == 0:
        return float(np.sqrt(np.mean(response**2)) / 6) if response.size else 0.0
    blocks = response[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK)
    return float(np.sqrt(np.quantile(np.mean(blocks**2, axis=(1, 3)), FLAT_SHARE)) / 6)
