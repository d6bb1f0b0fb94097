"""The models that are served, and the bounded pool of threads that runs them."""
