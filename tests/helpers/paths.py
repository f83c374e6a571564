"""Folders and files of the repository."""

from pathlib import Path

ROOT = Path(__file__).parents[2]


QUICKSTART = ROOT / 'configs' / 'quickstart.py'


CONFIGS = ROOT / 'configs'
