"""Makes the goldens of Keras's networks: their outputs with random weights.

Command   python tests/golden/make_keras.py
Needs     pip install keras jax, in an environment of its own
Writes    tests/golden/{keras_v3,keras_v2}.npz, as make_torch.py does
"""

import importlib.metadata
import os
import sys
from pathlib import Path

os.environ['KERAS_BACKEND'] = 'jax'

import keras
import numpy as np

HERE = Path(__file__).parent
sys.path.append(str(HERE))
import values  # noqa: E402

SIZE = 139
BLOCKS = {
    'keras_v3': [f'mixed{n}' for n in range(11)],
    'keras_v2': [
        'mixed_5b',
        *(f'block35_{n}_ac' for n in range(1, 11)),
        'mixed_6a',
        *(f'block17_{n}_ac' for n in range(1, 21)),
        'mixed_7a',
        *(f'block8_{n}_ac' for n in range(1, 10)),
        'custom_scale_layer_39',  # The last sum, which has no ReLU and no name.
        'conv_7b_ac',
    ],
}
NETWORKS = {
    'keras_v3': keras.applications.InceptionV3,
    'keras_v2': keras.applications.InceptionResNetV2,
}


def golden(name: str) -> dict[str, np.ndarray]:
    keras.backend.clear_session()
    model = NETWORKS[name](
        weights=None,
        include_top=True,
        input_tensor=keras.Input((SIZE, SIZE, 3)),
        classifier_activation=None,
    )
    texts = []
    for weight in model.weights:
        shape = tuple(weight.shape)
        fan_in = int(np.prod(shape[:-1])) if len(shape) > 1 else None
        weight.assign(values.weights(weight.path, shape, fan_in))
        texts.append(f'{weight.path} {"x".join(map(str, shape))}')
    grids = [model.get_layer(block).output for block in BLOCKS[name]]
    outputs = keras.Model(model.input, [*grids, model.output])(values.images(SIZE))
    samples = {
        block: values.sample(np.asarray(grid))
        for block, grid in zip([*BLOCKS[name], 'output'], outputs, strict=True)
    }
    return samples | {'names': np.array(texts)}


def main() -> None:
    versions = [
        f'{name} {importlib.metadata.version(name)}' for name in ('keras', 'jax')
    ]
    for name in NETWORKS:
        arrays = golden(name)
        np.savez_compressed(
            HERE / f'{name}.npz', versions=versions, size=SIZE, **arrays
        )
        print(name, len(arrays))


if __name__ == '__main__':
    main()
