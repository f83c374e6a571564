"""Released weights on your own photos: a new head on the frozen trunk, 50 to 200 photos.

Source    folder:photos, one folder per class in photos/train; 80 % of each class train
Network   Inception-v4 from the file of timm; `:inception_resnet_v2_slim` takes timm's
          Inception-ResNet-v2. docs/weights.md lists the fields for other libraries
Command   python -m inception_jax train --config configs/photos.py --workdir runs/mine \\
              --config.recipe.init_from=v4.safetensors --config.data.source=folder:photos
Cost      47 photos, 59 steps: 5 minutes of CPU time; the trunk has no backward pass
Expected  not measured: no released weights were available

The trunk and its batch norm stay as they were, so the network cannot forget what it
learned, and its running statistics need no steps. EMA weights average over ten steps,
because the run is short. Train all blocks instead with `recipe.frozen=` and
`recipe.rate_factors.trunk=0.1`.
"""

from ml_collections import ConfigDict, config_dict

# timm's share of the shorter side that evaluation keeps; 0.875 for other networks.
CROPS = {'inception_resnet_v2_slim': 0.8975}


def get_config(network='inception_v4_slim'):
    return ConfigDict(
        {
            'network': {
                'name': network,
                'width': 1.0,
                'depth': 1.0,
                'auxiliary': False,
                'rule': config_dict.placeholder(str),
                'extra_batch_norm': False,
                'input_size': 299,
                'classes': config_dict.placeholder(int),
                # As timm trained and evaluates these networks.
                'batch_norm_gamma': True,
                'crop_fraction': CROPS.get(network, 0.875),
                'square_crop': True,
                'interpolation': 'smooth_bicubic',
            },
            'recipe': {
                'optimizer': 'rmsprop',
                'schedule': 'exponential',
                'clip': True,
                'initializer': 'he',
                'batch_norm_decay': 0.9,  # Only for blocks that are not frozen.
                'dtype': 'float32',
                'flip': True,
                'colour': 'none',
                'init_from': 'v4.safetensors',
                'new_head': True,
                'frozen': 'trunk',
            },
            'hparams': {
                'learning_rate': 0.045,
                'warmup_epochs': 0.0,
                'warmup_learning_rate': config_dict.placeholder(float),
                'decay_rate': 0.94,
                'decay_epochs': 1.0,
                'momentum': 0.9,
                'rms_decay': 0.9,
                'rms_epsilon': 1.0,
                'clip_norm': 2.0,
                'weight_decay': 4e-5,
                'label_smoothing': 0.1,
                'auxiliary_weight': 0.4,
                'dropout_rate': config_dict.placeholder(float),
                'residual_scale': config_dict.placeholder(object),
                'residual_scale_start': config_dict.placeholder(object),
                'residual_scale_epochs': 0.0,
                'ema_decay': 0.9,
            },
            'data': {
                'source': 'folder:photos',
                'train_split': 'train[:80%]',
                'evaluation_split': 'train[80%:]',
                'area': (0.3, 1.0),
                'aspect': (0.75, 4 / 3),
                'data_dir': config_dict.placeholder(str),
            },
            'run': {
                'seed': 0,
                'batch_size': 16,
                'epochs': 20.0,
                'log_every_steps': 5,
                # A checkpoint of Inception-v4 has 300 MB: the weights and their EMA.
                'evaluate_every_epochs': 4.0,
                'checkpoint_every_epochs': 4.0,
                'keep_checkpoints': 1,
                'keep_best': 1,
                'diagnose_every_steps': 0,
            },
            'parallel': {'mode': 'jit', 'batch_norm': 'global', 'parameter_devices': 1},
            'verdicts': {'dead_share': 0.95, 'dying_share': 0.5, 'window': 50},
        }
    )
