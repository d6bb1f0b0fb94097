"""DOC: features trained on good and reference images together, and neighbours among them."""
