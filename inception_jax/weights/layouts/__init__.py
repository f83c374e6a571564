"""The layouts of other libraries: how each names and stores the arrays of a network.

A layout is a `Layout` (layout.py), one in each file: slim, keras, timm, torchvision,
facenet_pytorch. To add one, write a file with the function that names the layers of a
network, make a `Layout` of it, and add it to `catalogue.LAYOUTS`.
"""
