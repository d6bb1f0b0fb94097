"""One vector an image and its Mahalanobis distance to the mean of the good ones."""
