"""One vector an image and its local outlier factor among templates of the good ones."""
