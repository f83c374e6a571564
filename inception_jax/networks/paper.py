"""The networks of the paper, each with the figures and the table that define it.

The paper gives no residual scale for a network. The scales 0.17, 0.10 and 0.20 of the
stages A, B and C are the only ones that its authors released (TF-Slim
inception_resnet_v2.py).
"""

from inception_jax.networks.blocks import (
    auxiliary_classifier,
    inception_a,
    inception_a_v3,
    inception_b,
    inception_b_v3,
    inception_c,
    inception_c_v3,
    inception_resnet_a_v1,
    inception_resnet_a_v2,
    inception_resnet_b_v1,
    inception_resnet_b_v2,
    inception_resnet_c_v1,
    inception_resnet_c_v2,
    reduction_a,
    reduction_a_v3,
    reduction_b_resnet,
    reduction_b_v3,
    reduction_b_v4,
    stem_resnet_v1,
    stem_v3,
    stem_v4,
)
from inception_jax.networks.network import Auxiliary, network, one, stage

# arXiv:1512.00567, Table 1, as in the authors' code (TF-Slim inception_v3.py).
INCEPTION_V3 = network(
    'inception_v3',
    one('stem', stem_v3()),
    stage('a', 1, inception_a_v3(32), inception_a_v3(64), inception_a_v3(64)),
    one('reduction_a', reduction_a_v3()),
    stage('b', 1, *(inception_b_v3(c) for c in (128, 160, 160, 192))),
    one('reduction_b', reduction_b_v3()),
    stage('c', 2, inception_c_v3()),
    auxiliary=Auxiliary('b', auxiliary_classifier()),
)

# Fig. 9; Figs. 3 to 8; Table 1.
INCEPTION_V4 = network(
    'inception_v4',
    one('stem', stem_v4()),
    stage('a', 4, inception_a()),
    one('reduction_a', reduction_a(192, 224, 256, 384)),
    stage('b', 7, inception_b()),
    one('reduction_b', reduction_b_v4()),
    stage('c', 3, inception_c()),
)

# Fig. 15; Figs. 14, 10, 7, 11, 12 and 13; Table 1.
INCEPTION_RESNET_V1 = network(
    'inception_resnet_v1',
    one('stem', stem_resnet_v1()),
    stage('a', 5, inception_resnet_a_v1(0.17)),
    one('reduction_a', reduction_a(192, 192, 256, 384)),
    stage('b', 10, inception_resnet_b_v1(0.10)),
    one('reduction_b', reduction_b_resnet(256, 256, 256)),
    stage('c', 5, inception_resnet_c_v1(0.20)),
)

# Fig. 15; Figs. 3, 16, 7, 17, 18 and 19; Table 1.
INCEPTION_RESNET_V2 = network(
    'inception_resnet_v2',
    one('stem', stem_v4()),
    stage('a', 5, inception_resnet_a_v2(0.17)),
    one('reduction_a', reduction_a(256, 256, 384, 384)),
    stage('b', 10, inception_resnet_b_v2(0.10)),
    one('reduction_b', reduction_b_resnet(288, 288, 320)),
    stage('c', 5, inception_resnet_c_v2(0.20)),
)
