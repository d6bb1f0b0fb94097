"""Deep SVDD: a network that maps good images into a hypersphere."""
