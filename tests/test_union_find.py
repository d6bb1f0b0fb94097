import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from onlygood._union_find import find_root, unite


@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=40))
def test_sets_are_those_that_pairs_connect_and_their_roots_the_lowest(pairs: list[tuple[int, int]]) -> None:
    parents = np.arange(20)
    sets = [{member} for member in range(20)]
    for one, other in pairs:
        were_apart = sets[one] is not sets[other]
        assert unite(parents, one, other) is were_apart
        if were_apart:
            sets[one] |= sets[other]
            for member in sets[one]:
                sets[member] = sets[one]
    assert [find_root(parents, member) for member in range(20)] == [min(members) for members in sets]
