"""Where the demo's files lie."""

from pathlib import Path

FOLDER = Path(__file__).parent
NET = FOLDER / "digits_sk.prototxt"
WEIGHTS = FOLDER / "digits_sk.caffemodel"
DIGITS = FOLDER / "digits_test.npz"
"""The held-out digits: `images` N x 8 x 8, brightness 0 to 16, and `labels` N."""

BRIGHTEST = 16
