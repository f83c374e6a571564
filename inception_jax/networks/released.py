"""The released networks: v4 and -ResNet-v2 of TF-Slim, -ResNet-v1 of facenet, v3 of
torchvision.

They differ from the paper in widths, in the number of blocks, in the order of kernels
and branches, and in the auxiliary heads. The order of branches matters only for loading
released weights.
"""

import dataclasses

from inception_jax.networks.blocks import (
    auxiliary_classifier,
    inception_resnet_a_v1,
    inception_resnet_a_v2,
    inception_resnet_b_v1,
    inception_resnet_b_v2,
    inception_resnet_c_v1,
    inception_resnet_c_v2,
    stem_resnet_v1,
    stem_v3,
)
from inception_jax.networks.network import (
    Auxiliary,
    map_network,
    network,
    one,
    stage,
)
from inception_jax.networks.ops import Pool, avg_pool, chain, concat, conv, max_pool
from inception_jax.networks.paper import INCEPTION_V3

VALID = 'VALID'


def stem_v4_slim():
    """Fig. 3 with the kernels in the released order. 299x299x3 -> 35x35x384."""
    return chain(
        conv(32, 3, 2, VALID),
        conv(32, 3, 1, VALID),
        conv(64, 3),
        concat(max_pool(), conv(96, 3, 2, VALID)),
        concat(
            chain(conv(64), conv(96, 3, 1, VALID)),
            chain(conv(64), conv(64, (1, 7)), conv(64, (7, 1)), conv(96, 3, 1, VALID)),
        ),
        concat(conv(192, 3, 2, VALID), max_pool()),
    )


def inception_a_v4_slim():
    """Fig. 4 with its branches in the released order."""
    return concat(
        conv(96),
        chain(conv(64), conv(96, 3)),
        chain(conv(64), conv(96, 3), conv(96, 3)),
        chain(avg_pool(), conv(96)),
    )


def reduction_a_slim(k, l, m, n):  # noqa: E741 (the names of Table 1)
    """Fig. 7 with its branches in the released order."""
    return concat(
        conv(n, 3, 2, VALID),
        chain(conv(k), conv(l, 3), conv(m, 3, 2, VALID)),
        max_pool(),
    )


def inception_b_v4_slim():
    """Fig. 5 with its branches and kernels in the released order."""
    return concat(
        conv(384),
        chain(conv(192), conv(224, (1, 7)), conv(256, (7, 1))),
        chain(
            conv(192),
            conv(192, (7, 1)),
            conv(224, (1, 7)),
            conv(224, (7, 1)),
            conv(256, (1, 7)),
        ),
        chain(avg_pool(), conv(128)),
    )


def reduction_b_v4_slim():
    """Fig. 8 with its branches in the released order."""
    return concat(
        chain(conv(192), conv(192, 3, 2, VALID)),
        chain(conv(256), conv(256, (1, 7)), conv(320, (7, 1)), conv(320, 3, 2, VALID)),
        max_pool(),
    )


def inception_c_v4_slim():
    """Fig. 6 with its branches and kernels in the released order."""
    return concat(
        conv(256),
        chain(conv(384), concat(conv(256, (1, 3)), conv(256, (3, 1)))),
        chain(
            conv(384),
            conv(448, (3, 1)),
            conv(512, (1, 3)),
            concat(conv(256, (1, 3)), conv(256, (3, 1))),
        ),
        chain(avg_pool(), conv(256)),
    )


def mixed_5b_slim():
    """The block between stem and stage A of -ResNet-v2. 35x35x192 -> 35x35x320."""
    return concat(
        conv(96),
        chain(conv(48), conv(64, 5)),
        chain(conv(64), conv(96, 3), conv(96, 3)),
        chain(avg_pool(), conv(64)),
    )


def reduction_b_resnet_slim(second, third, fourth):
    """Figs. 12 and 18 with their branches in the released order."""
    return concat(
        chain(conv(256), conv(384, 3, 2, VALID)),
        chain(conv(256), conv(second, 3, 2, VALID)),
        chain(conv(256), conv(third, 3), conv(fourth, 3, 2, VALID)),
        max_pool(),
    )


# TF-Slim inception_v4.py.
INCEPTION_V4_SLIM = network(
    'inception_v4_slim',
    one('stem', stem_v4_slim()),
    stage('a', 4, inception_a_v4_slim()),
    one('reduction_a', reduction_a_slim(192, 224, 256, 384)),
    stage('b', 7, inception_b_v4_slim()),
    one('reduction_b', reduction_b_v4_slim()),
    stage('c', 3, inception_c_v4_slim()),
    auxiliary=Auxiliary('b', auxiliary_classifier()),
)

# TF-Slim inception_resnet_v2.py. The last block has no scale and no ReLU.
INCEPTION_RESNET_V2_SLIM = network(
    'inception_resnet_v2_slim',
    one('stem', stem_v3()),
    one('mixed_5b', mixed_5b_slim()),
    stage('a', 10, inception_resnet_a_v2(0.17)),
    one('reduction_a', reduction_a_slim(256, 256, 384, 384)),
    stage('b', 20, inception_resnet_b_v2(0.10)),
    one('reduction_b', reduction_b_resnet_slim(288, 288, 320)),
    stage('c', 9, inception_resnet_c_v2(0.20)),
    one('c_last', inception_resnet_c_v2(1.0, relu=False)),
    one('final', conv(1536)),
    auxiliary=Auxiliary('b', auxiliary_classifier()),
)

# facenet inception_resnet_v1.py, with logits in place of its embedding.
INCEPTION_RESNET_V1_FACENET = network(
    'inception_resnet_v1_facenet',
    one('stem', stem_resnet_v1()),
    stage('a', 5, inception_resnet_a_v1(0.17)),
    one('reduction_a', reduction_a_slim(192, 192, 256, 384)),
    stage('b', 10, inception_resnet_b_v1(0.10)),
    one('reduction_b', reduction_b_resnet_slim(256, 256, 256)),
    stage('c', 5, inception_resnet_c_v1(0.20)),
    one('c_last', inception_resnet_c_v1(1.0, relu=False)),
)


def _count_padding(op):
    is_mean = isinstance(op, Pool) and op.kind == 'avg' and op.kernel is not None
    return dataclasses.replace(op, count_padding=True) if is_mean else op


# torchvision inception.py; timm has a copy. The 5x5 average pool has no padding.
INCEPTION_V3_TORCHVISION = dataclasses.replace(
    map_network(_count_padding, INCEPTION_V3),
    name='inception_v3_torchvision',
    batch_norm_gamma=True,
)
