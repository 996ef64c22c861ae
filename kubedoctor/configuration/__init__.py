"""How wishes become a `ClusterConfig`: layers, the file, the environment, and what is checked of them."""
