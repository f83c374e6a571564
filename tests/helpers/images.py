"""A folder of small images."""

import cv2
import numpy as np


def images(folder):
    for split in ('train', 'test'):
        for label in range(4):
            (folder / split / str(label)).mkdir(parents=True)
            for i in range(8):
                pixels = np.full((16, 16, 3), 60 * label + i, np.uint8)
                cv2.imwrite(str(folder / split / str(label) / f'{i}.png'), pixels)
