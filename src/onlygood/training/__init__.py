"""Training with gradients: networks, one loop, and the arrays that go into a graph. The only part that knows torch."""
