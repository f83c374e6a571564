"""A wide last stage after narrow stages, on CIFAR-10: shows the deaths of section 3.3.

Source    tfds:cifar10 in ArrayRecord format, in the folder TFDS_DATA_DIR
Network   Inception-ResNet-v2 at 75 pixels, a quarter of its width, blocks 1/2/5; the
          five residual blocks of the last stage have 2144 channels, which
          width.reduction_b sets
Command   python -m inception_jax sweep --config configs/stability.py \\
              --workdir runs/stability --grid 'residual_scale=0.1,1;seed=0,1,2'
Cost      about a minute a run of 300 steps on 2 CPU cores
Expected  with residual scale 1 nearly all channels of the final feature map become zero

The recipe is the paper's early recipe as far as it is known: RMSProp, learning rate
0.045, kernels from a truncated normal with standard deviation 0.1, no clipping.
"""

from ml_collections import ConfigDict, config_dict


def get_config(network='inception_resnet_v2'):
    return ConfigDict(
        {
            'network': {
                'name': network,
                'width': {
                    'stem': 0.25,
                    'a': 0.25,
                    'reduction_a': 0.25,
                    'b': 0.25,
                    'reduction_b': 1.871,  # 288 + 992 x 1.871 = 2144 filters.
                    'c': 1.0,
                },
                'depth': {'a': 0.2, 'b': 0.2, 'c': 1.0},
                'rule': config_dict.placeholder(str),
                'extra_batch_norm': False,
                'input_size': 75,
                'crop_fraction': 1.0,
                'classes': config_dict.placeholder(int),
            },
            'recipe': {
                'optimizer': 'rmsprop',
                'schedule': 'exponential',
                'clip': False,
                'initializer': 'truncated_normal',
                'batch_norm_decay': 0.95,
                'dtype': 'float32',
                'flip': True,
                'colour': 'none',
            },
            'hparams': {
                'learning_rate': 0.045,
                'warmup_epochs': 0.0,
                'warmup_learning_rate': config_dict.placeholder(float),
                'decay_rate': 0.94,
                'decay_epochs': 2.0,
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
                'ema_decay': 0.98,
            },
            'data': {
                'source': 'tfds:cifar10',
                'train_split': 'train',
                'evaluation_split': 'test',
                'area': (0.5, 1.0),
                'aspect': (0.75, 4 / 3),
                'data_dir': config_dict.placeholder(str),
            },
            'run': {
                'seed': 0,
                'batch_size': 32,
                'epochs': 0.192,  # 300 steps.
                'log_every_steps': 10,
                'evaluate_every_epochs': 1.0,
                'checkpoint_every_epochs': 1.0,
                'keep_checkpoints': 1,
                'diagnose_every_steps': 10,
            },
            'parallel': {'mode': 'jit', 'batch_norm': 'global', 'parameter_devices': 1},
            'verdicts': {'dead_share': 0.95, 'dying_share': 0.5, 'window': 50},
        }
    )
