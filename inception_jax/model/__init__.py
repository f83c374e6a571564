"""A network on arrays: the linen classifier, its layers and its fast execution."""
