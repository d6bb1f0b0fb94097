"""Methods of other libraries that ours are compared with."""
