"""What every model of textures must do."""

import numpy as np

import onlygood
from textures import texture, with_defect


def check_that_defects_are_found(model: onlygood.Model) -> None:
    """Textures with a defect score above the median of good ones, and have a map."""
    inspect = onlygood.Inspector(model)
    good = [inspect(texture(seed)).score for seed in range(200, 210)]
    bad = [inspect(with_defect(texture(seed))) for seed in range(210, 215)]
    assert min(one.score for one in bad) > np.median(good)
    assert bad[0].anomaly_map is not None
    assert bad[0].anomaly_map.shape == (96, 96)
    assert bad[0].anomaly_map.max() > 0
