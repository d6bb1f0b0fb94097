"""One vector an image: nearest neighbours, the local outlier factor, and the Mahalanobis distance."""
