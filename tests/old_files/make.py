"""Makes the files of this folder, with the version of inception_jax on PYTHONPATH.

Command   PYTHONPATH=/path/to/clone/of/a522038 python tests/old_files/make.py

They were made once, at commit a522038 (before the folders of the package were rebuilt),
with jax 0.10.2 and four CPU devices, and are kept: later versions must read them.

run       2 epochs of 8 steps, with probabilities of its 64 images; the checkpoint of
          step 16 is in checkpoints.zip, most of it repetitive text
fork      from step 8 of the run, with another residual scale; without checkpoints
sweep     two members of 1 epoch each; without checkpoints
net.*     the weights of the run as a weight file, and as an exported program
expected.json   what the old code computed from these files
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FIELDS = {
    'network.width': 0.02,
    'network.depth': 0.01,
    'data.source': 'synthetic:64/4',
    'data.workers': 0,
    'run.batch_size': 8,
    'run.epochs': 2,
    'run.log_every_steps': 4,
    'run.evaluate_every_epochs': 1,
    'run.checkpoint_every_epochs': 1,
    'run.keep_checkpoints': 2,
    'run.diagnose_every_steps': 16,
}
KEPT = ('.json', '.jsonl', '.csv', '.npz', '.log')


def command(*arguments: str | Path) -> str:
    """Runs a command of inception_jax; returns what it printed to stdout."""
    return subprocess.run(
        [sys.executable, '-m', 'inception_jax', *map(str, arguments)],
        env=os.environ | {'JAX_NUM_CPU_DEVICES': '4', 'JAX_PLATFORMS': 'cpu'},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout


def configured(name: str, workdir: Path, *options: str, **changes) -> None:
    fields = FIELDS | {key.replace('__', '.'): x for key, x in changes.items()}
    command(
        name,
        f'--config={ROOT / "configs" / "quickstart.py"}',
        f'--workdir={workdir}',
        *options,
        *(f'--config.{key}={value}' for key, value in fields.items()),
    )


def keep(source: Path, target: Path) -> None:
    """Copies what is small from a folder; texts name folders relative to its parent."""
    for path in sorted(source.rglob('*')):
        place = path.relative_to(source)
        if path.suffix not in KEPT or 'checkpoints' in place.parts:
            continue
        (target / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target / place)
        if path.suffix != '.npz':
            text = path.read_text().replace(sys.executable, 'python')
            for folder in (source.parent, ROOT):
                text = text.replace(f'{folder}/', '')
            (target / place).write_text(text)


def main(folder: Path) -> None:
    run, fork, sweep = (folder / name for name in ('run', 'fork', 'sweep'))
    weights, longer = folder / 'net.safetensors', folder / 'longer'
    configured('train', run)
    errors = json.loads(command('evaluate', f'--workdir={run}', '--format=json'))
    changed = ('--hparam', 'residual_scale=0.3')
    command('fork', f'--workdir={run}', '--step=8', f'--into={fork}', *changed)
    configured('sweep', sweep, '--grid=residual_scale=0.1,1', run__epochs=1)
    command('convert', run, weights)
    command('export', f'--workdir={run}', folder / 'net.npz')
    shutil.copytree(run, longer)
    configured('train', longer, run__epochs=3)
    records = map(json.loads, (longer / 'metrics.jsonl').read_text().splitlines())
    images = np.random.default_rng(0).integers(256, size=(2, 75, 75, 3), dtype='uint8')
    expected = {
        'errors': errors,
        'steps 17 to 24': [record for record in records if record['step'] > 16],
        'images': 'numpy.random.default_rng(0).integers(256, (2, 75, 75, 3), uint8)',
        'logits': logits(folder / 'net.npz', images).tolist(),
    }
    keep(run, HERE / 'run')
    for step in (run / 'checkpoints').iterdir():
        if step.name != '16':
            shutil.rmtree(step)
    shutil.make_archive(HERE / 'run' / 'checkpoints', 'zip', run, 'checkpoints')
    keep(fork, HERE / 'fork')
    keep(sweep, HERE / 'sweep')
    for name in ('net.safetensors', 'net.json', 'net.npz'):
        shutil.copyfile(folder / name, HERE / name)
    text = json.dumps(expected, indent=1)
    (HERE / 'expected.json').write_text(f'{text}\n')


def logits(path: Path, images: np.ndarray) -> np.ndarray:
    """Returns what an exported program computes, by the lines of docs/weights.md."""
    import jax
    from jax import export

    with np.load(path) as file:
        program = export.deserialize(bytearray(file['program']))
        weights = {name: file[name] for name in file.files if '/' in name}
    return np.asarray(jax.jit(program.call)(weights, images))


if __name__ == '__main__':
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder))
