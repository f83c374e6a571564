"""Weights of others: {name: array} in their layouts to our variables and back."""
