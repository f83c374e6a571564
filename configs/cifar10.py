"""A narrow Inception-ResNet on CIFAR-10: photographs on a laptop.

Source    tfds:cifar10 in ArrayRecord format, in the folder TFDS_DATA_DIR; build it once
          with `tfds build cifar10 --file_format=array_record`, which needs TensorFlow
Network   Inception-ResNet-v1 at a quarter of its width, blocks 1/2/1, 32 -> 75 pixels
Command   python -m inception_jax train --config configs/cifar10.py --workdir runs/cifar10
Cost      16 minutes on 2 CPU cores
Expected  top-1 error of about 31 % on the 10,000 test images (seed 0: 31.3 %)
"""

from ml_collections import ConfigDict, config_dict


def get_config(network='inception_resnet_v1'):
    return ConfigDict(
        {
            'network': {
                'name': network,
                'width': 0.25,
                'depth': 0.2,
                'auxiliary': config_dict.placeholder(bool),
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
                'initializer': 'he',
                'batch_norm_decay': 0.99,
                'dtype': 'float32',
                'flip': True,
                'colour': 'none',
            },
            'hparams': {
                'learning_rate': 0.045,
                'warmup_epochs': 0.0,
                'warmup_learning_rate': config_dict.placeholder(float),
                'decay_rate': 0.94,
                'decay_epochs': 0.2,
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
                'ema_decay': 0.998,
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
                'epochs': 8.0,
                'log_every_steps': 100,
                'evaluate_every_epochs': 1.0,
                'checkpoint_every_epochs': 0.5,
                'keep_checkpoints': 2,
                'diagnose_every_steps': 100,
            },
            'parallel': {'mode': 'jit', 'batch_norm': 'global', 'parameter_devices': 1},
            'verdicts': {'dead_share': 0.95, 'dying_share': 0.5, 'window': 50},
        }
    )
