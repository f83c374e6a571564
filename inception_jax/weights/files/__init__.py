"""Files of weights, read without trusting them; what a file is, its bytes tell."""
