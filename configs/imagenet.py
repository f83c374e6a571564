"""The networks of the paper on ImageNet with the paper's recipe.

Source    arXiv:1602.07261, section 4 and Figs. 9 and 15; arXiv:1512.00567 for Inception-v3;
          tfds:imagenet2012 in ArrayRecord format
Command   python -m inception_jax train --config configs/imagenet.py:inception_resnet_v2 --workdir runs/v2
Cost      FLOPs are 3 x 2 x multiply-adds (GMACs) for each training image
Expected  top-1/top-5 error on all 50,000 validation images, one central crop; Table 2 of
          the paper leaves out the 1,762 blacklisted images

| network             | epochs | GMACs | FLOPs  | expected, % | Table 2, % |
|---------------------|--------|-------|--------|-------------|------------|
| inception_v3        | 200    |  5.72 | 8.8e18 | 21.5/5.75   | 21.2/5.6   |
| inception_resnet_v1 | 200    |  6.21 | 9.5e18 | 21.6/5.65   | 21.3/5.5   |
| inception_v4        | 160    | 12.25 | 1.5e19 | 20.3/5.15   | 20.0/5.0   |
| inception_resnet_v2 | 160    |  9.26 | 1.1e19 | 20.2/5.05   | 19.9/4.9   |

Section 4 gives RMSProp (decay 0.9, epsilon 1.0), the learning rate 0.045 multiplied by
0.94 every two epochs, 20 replicas and averaged (EMA) weights. The paper leaves the rest
open. This config takes it from the authors' code and from arXiv:1512.00567: 32 images
for each replica, momentum 0.9, L2 4e-5, label smoothing 0.1, clipping at 2.0,
batch-norm decay 0.9997, EMA decay 0.9999, crops of 10 to 100 % of the image, full colour
distortion, He initialisation. Training is synchronous. Batch statistics are computed
over the global batch; each of the 20 replicas used its own 32 images.

The auxiliary head of Inception-v3, weight 0.4, is part of the network. The figure of
Inception-v4 shows no auxiliary head. The residual scales 0.17, 0.10 and 0.20 of the
Inception-ResNets are the released ones; the paper says 0.1 to 0.3.
`:inception_v4_slim` (with an auxiliary head) and `:inception_resnet_v2_slim` (59.2 M
parameters) train the released networks with this recipe. TF-Slim trained the latter
with Glorot initialisation and with L2 on the biases too.
"""

from ml_collections import ConfigDict, config_dict

# Figs. 21 to 26. A network that is not listed trains for 160 epochs.
EPOCHS = {'inception_v3': 200.0, 'inception_resnet_v1': 200.0}


def get_config(network='inception_v3'):
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
                'epochs': EPOCHS.get(network, 160.0),
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
