"""Inception-ResNet-v1 on ImageNet with the paper's recipe.

Source    arXiv:1602.07261, Fig. 15, section 4; tfds:imagenet2012 in ArrayRecord format
Command   python -m inception_jax train --config configs/imagenet_inception_resnet_v1.py --workdir runs/inception_resnet_v1
Cost      200 epochs, 9.5e18 FLOPs counted as 3 x 2 x 6.21 GMACs an image
Expected  top-1/top-5 error of about 21.6/5.65 % on all 50,000 images, one central crop
          (Table 2: 21.3/5.5 % on the 48,238 non-blacklisted ones)

Section 4 gives RMSProp (decay 0.9, epsilon 1.0), the rate 0.045 times 0.94 every two
epochs, 20 replicas and averaged parameters. It is silent about the rest; we take, from
the authors' code and from arXiv:1512.00567: 32 images a replica, momentum 0.9, L2 4e-5,
label smoothing 0.1, clipping at 2.0, batch-norm decay 0.9997, averages of decay 0.9999,
crops of 10 to 100 %, full colour distortion, He initialisation. The run is synchronous.
Batch statistics are those of the global batch, where 20 replicas had those of 32
images. The residual scales 0.17, 0.10 and 0.20 are the released ones; the paper says
0.1 to 0.3.
"""

from ml_collections import ConfigDict, config_dict


def get_config(network='inception_resnet_v1'):
    return ConfigDict(
        {
            'network': {
                'name': network,
                'width': 1.0,
                'depth': 1.0,
                'rule': config_dict.placeholder(str),
                'extra_batch_norm': False,
                'input_size': 299,
                'crop_fraction': 0.875,
                'classes': config_dict.placeholder(int),
            },
            'recipe': {
                'optimizer': 'rmsprop',
                'schedule': 'exponential',
                'clip': True,
                'initializer': 'he',
                'batch_norm_decay': 0.9997,
                'dtype': 'float32',
                'flip': True,
                'colour': 'full',
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
                'ema_decay': 0.9999,
            },
            'data': {
                'source': 'tfds:imagenet2012',
                'train_split': 'train',
                'evaluation_split': 'validation',
                # TensorFlow's crop of 5 to 100 % has to cover 10 % of the image as
                # well.
                'area': (0.1, 1.0),
                'aspect': (0.75, 4 / 3),
                'data_dir': config_dict.placeholder(str),
            },
            'run': {
                'seed': 0,
                'batch_size': 640,  # 20 replicas of 32.
                'epochs': 200.0,
                'log_every_steps': 50,
                'evaluate_every_epochs': 1.0,
                'checkpoint_every_epochs': 0.25,
                'keep_checkpoints': 3,
                'diagnose_every_steps': 50,
            },
            'parallel': {'mode': 'jit', 'batch_norm': 'global', 'parameter_devices': 1},
            'verdicts': {'dead_share': 0.95, 'dying_share': 0.5, 'window': 50},
        }
    )
