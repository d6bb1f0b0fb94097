"""What a method is given to learn from, for tests that look at it: see the fixture `learned`."""

from collections.abc import Sequence

from onlygood.features.extraction import Features
from textures import Array


class Learned:
    """What a method was given to learn from."""

    seen: Features
    groups: Sequence[int]
    held_out: Array

    @property
    def originals(self) -> list[int]:
        """The position of the image that each augmentation is made of."""
        names = [source.name for source in self.seen.sources]
        return [names.index(name.split(" augmented ")[0]) for name in names[self.seen.given :]]
