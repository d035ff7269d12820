"""Chains that take a scan to the network's grid and a prediction back, and the augmentations between them."""
