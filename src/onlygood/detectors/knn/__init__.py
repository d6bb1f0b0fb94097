"""One vector an image and its nearest neighbours among templates of the good ones."""
