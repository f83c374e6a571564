"""Makes the goldens of PyTorch's networks: their outputs with random weights.

Command   python tests/golden/make_torch.py
Needs     pip install torch torchvision timm facenet-pytorch, in one of its own
Writes    tests/golden/{timm_v4,timm_v2,torchvision_v3,facenet_pytorch_v1}.npz

Each holds, by the name of a module, some values of what it gives (`values.sample`), and
`names` and `versions`. Ours must give the same (tests/weights/test_layouts.py).
"""

import importlib.metadata
import sys
from pathlib import Path

import facenet_pytorch
import numpy as np
import timm
import torch
import torchvision

HERE = Path(__file__).parent
sys.path.append(str(HERE))
import values  # noqa: E402

# Their blocks, whole: all children of these modules, or the modules themselves.
NETWORKS = {
    'timm_v4': (lambda: timm.create_model('inception_v4'), 139),
    'timm_v2': (lambda: timm.create_model('inception_resnet_v2'), 139),
    'torchvision_v3': (
        lambda: torchvision.models.inception_v3(
            init_weights=False, transform_input=False
        ),
        139,
    ),
    'facenet_pytorch_v1': (
        lambda: facenet_pytorch.InceptionResnetV1(pretrained=None),
        107,
    ),
}
LISTS = ('features', 'repeat', 'repeat_1', 'repeat_2', 'repeat_3')
LEFT_OUT = ('avgpool', 'global_pool', 'dropout', 'head_drop', 'AuxLogits', 'logits')


def blocks(model: torch.nn.Module):
    """Yields the modules that have a name of their own in our walk."""
    for name, child in model.named_children():
        if name in LISTS:
            yield from ((f'{name}.{n}', each) for n, each in child.named_children())
        elif name not in LEFT_OUT:
            yield name, child


def fill(model: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    """Gives a model random weights; returns their shapes by name."""
    state = model.state_dict()
    for name, array in state.items():
        if array.dtype.is_floating_point:
            fan_in = array[0].numel() if array.dim() > 1 else None
            made = values.weights(name, tuple(array.shape), fan_in)
            state[name] = torch.from_numpy(made)
    model.load_state_dict(state)
    return {name: tuple(array.shape) for name, array in state.items()}


def golden(model: torch.nn.Module, size: int) -> dict[str, np.ndarray]:
    shapes, samples = fill(model.eval()), {}

    def keep(name):
        def hook(module, inputs, output):
            grid = output.detach().numpy()
            if grid.ndim == 4:
                grid = grid.transpose(0, 2, 3, 1)
            samples[name] = values.sample(grid)

        return hook

    for name, module in blocks(model):
        module.register_forward_hook(keep(name))
    images = torch.from_numpy(values.images(size).transpose(0, 3, 1, 2).copy())
    with torch.no_grad():
        output = model(images)
    texts = [f'{name} {"x".join(map(str, shape))}' for name, shape in shapes.items()]
    return samples | {'output': values.sample(output.numpy()), 'names': np.array(texts)}


def main() -> None:
    packages = ('torch', 'torchvision', 'timm', 'facenet-pytorch')
    versions = [f'{name} {importlib.metadata.version(name)}' for name in packages]
    for name, (make, size) in NETWORKS.items():
        arrays = golden(make(), size)
        np.savez_compressed(
            HERE / f'{name}.npz', versions=versions, size=size, **arrays
        )
        print(name, len(arrays))


if __name__ == '__main__':
    main()
