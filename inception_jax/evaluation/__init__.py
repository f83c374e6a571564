"""A trained network on images: probabilities, errors, predictions, features."""
