"""A method for onlygood: the level of each cell of an image beside that of good images."""
