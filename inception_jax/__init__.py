"""Inception-v3, -v4 and Inception-ResNet-v1, -v2 (arXiv:1602.07261) as a laboratory."""
