"""Several products: a model file each, side by side in a folder, and a table that says which is which."""
