"""Files in the layouts of other libraries, and their conversion."""

import jax
import numpy as np
from helpers.variables import random_variables

from inception_jax.__main__ import main
from inception_jax.networks import choose
from inception_jax.weights.layouts.catalogue import LAYOUTS

CASES = (
    ('slim', 'V3'),
    ('slim', 'V4'),
    ('slim', 'V2'),
    ('facenet', 'V1'),
    ('keras', 'V3'),
    ('keras', 'V2'),
    ('timm', 'V3_TORCHVISION'),
    ('timm', 'V4'),
    ('timm', 'V2'),
    ('torchvision', 'V3_TORCHVISION'),
    ('facenet_pytorch', 'V1'),
)


# The arrays of the last layer of faces: kernel, our bias, and the batch norm behind.
BOTTLENECK = ('weights', 'biases', *(f'BatchNorm/{x}' for x in ('beta', 'moving_mean')))


LAST = {
    'facenet': [
        f'InceptionResnetV1/Bottleneck/{name}'
        for name in (*BOTTLENECK, 'BatchNorm/moving_variance')
    ],
    'facenet_pytorch': [
        *('last_linear.weight', 'last_linear.bias', 'last_bn.bias'),
        *('last_bn.running_mean', 'last_bn.running_var', 'last_bn.weight'),
    ],
}


def layout_of(layout, name):
    return LAYOUTS[layout][choose(f'helpers.narrow:{name}').name]


def network(layout, name, **changes):
    """Returns a network as convert makes it, of 5 classes."""
    fields = {'auxiliary': False, 'classes': 5} | changes
    return choose(f'helpers.narrow:{name}', **layout_of(layout, name).fields | fields)


def made(layout, name, **changes):
    """Returns random variables of a network, and the same as arrays in its layout."""
    net = network(layout, name, **changes)
    variables = random_variables(net)
    arrays = layout_of(layout, name).layout.arrays(net, variables)
    return variables, in_two_layers(layout, variables, arrays)


def in_two_layers(layout, variables, arrays):
    """Returns arrays whose last layer is two where it is so in the layout."""
    if layout not in LAST:
        return arrays
    kernel, bias, beta, mean, variance, *gamma = LAST[layout]
    generator = np.random.default_rng(1)
    parts = {name: generator.uniform(0.5, 1.5, 5) for name in LAST[layout][2:]}
    factor = np.prod([parts[name] for name in gamma], axis=0)
    factor = factor / np.sqrt(parts[variance] + 0.001)
    whole = variables['params']['logits']['dense0']
    rest = {name: x for name, x in arrays.items() if name != bias}
    rest |= {name: x.astype(np.float32) for name, x in parts.items()}
    whole['bias'] = (parts[beta] - parts[mean] * factor).astype(np.float32)
    column = factor if layout == 'facenet' else factor[:, None]
    rest[kernel] = np.float32(arrays[kernel] / column)
    return rest


def without(arrays, name):
    return {other: x for other, x in arrays.items() if other != name}


def convert(source, output, **options):
    options = [
        f'--{name}' if value is True else f'--{name}={value}'
        for name, value in options.items()
    ]
    return main(['convert', str(source), str(output), *options])


def read(path, layout, name, **options):
    """Converts a file in a layout, and returns where it is as one of ours."""
    output = path.with_name(f'ours-{layout}.safetensors')
    options = {'from': layout, 'network': f'helpers.narrow:{name}'} | options
    assert convert(path, output, **options) == 0
    return output


def same(actual, expected):
    jax.tree.map(np.testing.assert_array_equal, actual, expected)
