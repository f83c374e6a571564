"""The blocks of the paper, one function per figure, and the blocks of Inception-v3.

Kernels are height x width, in the order in which the figures print them. Batch norm and
ReLU follow every convolution. V in a figure is VALID here.
"""

from inception_jax.networks.ops import (
    avg_pool,
    chain,
    concat,
    conv,
    max_pool,
    residual,
)

VALID = 'VALID'


# Inception-v4 and both Inception-ResNets.


def stem_v4():
    """Fig. 3. 299x299x3 -> 35x35x384."""
    return chain(
        conv(32, 3, 2, VALID),
        conv(32, 3, 1, VALID),
        conv(64, 3),
        concat(max_pool(), conv(96, 3, 2, VALID)),
        concat(
            chain(conv(64), conv(96, 3, 1, VALID)),
            chain(conv(64), conv(64, (7, 1)), conv(64, (1, 7)), conv(96, 3, 1, VALID)),
        ),
        # Paper: no stride at the last convolution (Fig. 3); 71 -> 35 needs 2.
        concat(conv(192, 3, 2, VALID), max_pool()),
    )


def inception_a():
    """Fig. 4. 35x35x384 -> 35x35x384."""
    return concat(
        chain(avg_pool(), conv(96)),
        conv(96),
        chain(conv(64), conv(96, 3)),
        chain(conv(64), conv(96, 3), conv(96, 3)),
    )


def inception_b():
    """Fig. 5. 17x17x1024 -> 17x17x1024."""
    return concat(
        chain(avg_pool(), conv(128)),
        conv(384),
        # Paper: the second of the two is drawn as another 1x7 (Fig. 5).
        chain(conv(192), conv(224, (1, 7)), conv(256, (7, 1))),
        chain(
            conv(192),
            conv(192, (1, 7)),
            conv(224, (7, 1)),
            conv(224, (1, 7)),
            conv(256, (7, 1)),
        ),
    )


def inception_c():
    """Fig. 6. 8x8x1536 -> 8x8x1536."""
    return concat(
        chain(avg_pool(), conv(256)),
        conv(256),
        chain(conv(384), concat(conv(256, (1, 3)), conv(256, (3, 1)))),
        chain(
            conv(384),
            conv(448, (1, 3)),
            conv(512, (3, 1)),
            concat(conv(256, (3, 1)), conv(256, (1, 3))),
        ),
    )


def reduction_a(k, l, m, n):  # noqa: E741 (the names of Table 1)
    """Fig. 7 with the widths of Table 1. 35x35 -> 17x17."""
    return concat(
        max_pool(),
        conv(n, 3, 2, VALID),
        chain(conv(k), conv(l, 3), conv(m, 3, 2, VALID)),
    )


def reduction_b_v4():
    """Fig. 8. 17x17x1024 -> 8x8x1536."""
    return concat(
        max_pool(),
        chain(conv(192), conv(192, 3, 2, VALID)),
        chain(conv(256), conv(256, (1, 7)), conv(320, (7, 1)), conv(320, 3, 2, VALID)),
    )


def stem_resnet_v1():
    """Fig. 14. 299x299x3 -> 35x35x256."""
    return chain(
        conv(32, 3, 2, VALID),
        conv(32, 3, 1, VALID),
        conv(64, 3),
        max_pool(),
        conv(80),
        conv(192, 3, 1, VALID),
        conv(256, 3, 2, VALID),
    )


def inception_resnet_a_v1(scale):
    """Fig. 10. 35x35x256 -> 35x35x256."""
    return residual(
        conv(32),
        chain(conv(32), conv(32, 3)),
        chain(conv(32), conv(32, 3), conv(32, 3)),
        scale=scale,
    )


def inception_resnet_b_v1(scale):
    """Fig. 11. 17x17x896 -> 17x17x896."""
    return residual(
        conv(128),
        chain(conv(128), conv(128, (1, 7)), conv(128, (7, 1))),
        scale=scale,
    )


def inception_resnet_c_v1(scale, relu=True):
    """Fig. 13. 8x8x1792 -> 8x8x1792."""
    return residual(
        conv(192),
        chain(conv(192), conv(192, (1, 3)), conv(192, (3, 1))),
        scale=scale,
        relu=relu,
    )


def inception_resnet_a_v2(scale):
    """Fig. 16. 35x35x384 -> 35x35x384."""
    return residual(
        conv(32),
        chain(conv(32), conv(32, 3)),
        chain(conv(32), conv(48, 3), conv(64, 3)),
        scale=scale,
    )


def inception_resnet_b_v2(scale):
    """Fig. 17. 17x17x1152 -> 17x17x1152."""
    # Paper: 1154 filters in the linear 1x1 (Fig. 17); the sum needs the trunk's 1152.
    return residual(
        conv(192),
        chain(conv(128), conv(160, (1, 7)), conv(192, (7, 1))),
        scale=scale,
    )


def inception_resnet_c_v2(scale, relu=True):
    """Fig. 19. 8x8x2144 -> 8x8x2144."""
    # Paper: 2048 filters in the linear 1x1 (Fig. 19); the sum needs the trunk's 2144.
    return residual(
        conv(192),
        chain(conv(192), conv(224, (1, 3)), conv(256, (3, 1))),
        scale=scale,
        relu=relu,
    )


def reduction_b_resnet(second, third, fourth):
    """Figs. 12 and 18, with the widths in which they differ. 17x17 -> 8x8."""
    return concat(
        max_pool(),
        chain(conv(256), conv(384, 3, 2, VALID)),
        chain(conv(256), conv(second, 3, 2, VALID)),
        chain(conv(256), conv(third, 3), conv(fourth, 3, 2, VALID)),
    )


# Inception-v3 (arXiv:1512.00567; TF-Slim inception_v3.py).


def stem_v3():
    """299x299x3 -> 35x35x192."""
    return chain(
        conv(32, 3, 2, VALID),
        conv(32, 3, 1, VALID),
        conv(64, 3),
        max_pool(),
        conv(80),
        conv(192, 3, 1, VALID),
        max_pool(),
    )


def inception_a_v3(pool_filters):
    """Mixed_5b to 5d. 35x35 -> 35x35x(224 + pool_filters)."""
    return concat(
        conv(64),
        chain(conv(48), conv(64, 5)),
        chain(conv(64), conv(96, 3), conv(96, 3)),
        chain(avg_pool(), conv(pool_filters)),
    )


def reduction_a_v3():
    """Mixed_6a. 35x35x288 -> 17x17x768."""
    return concat(
        conv(384, 3, 2, VALID),
        chain(conv(64), conv(96, 3), conv(96, 3, 2, VALID)),
        max_pool(),
    )


def inception_b_v3(c):
    """Mixed_6b to 6e, with c filters between the 7-tap convolutions. 17x17x768."""
    return concat(
        conv(192),
        chain(conv(c), conv(c, (1, 7)), conv(192, (7, 1))),
        chain(
            conv(c),
            conv(c, (7, 1)),
            conv(c, (1, 7)),
            conv(c, (7, 1)),
            conv(192, (1, 7)),
        ),
        chain(avg_pool(), conv(192)),
    )


def reduction_b_v3():
    """Mixed_7a. 17x17x768 -> 8x8x1280."""
    return concat(
        chain(conv(192), conv(320, 3, 2, VALID)),
        chain(conv(192), conv(192, (1, 7)), conv(192, (7, 1)), conv(192, 3, 2, VALID)),
        max_pool(),
    )


def inception_c_v3():
    """Mixed_7b and 7c. 8x8 -> 8x8x2048."""
    return concat(
        conv(320),
        chain(conv(384), concat(conv(384, (1, 3)), conv(384, (3, 1)))),
        chain(conv(448), conv(384, 3), concat(conv(384, (1, 3)), conv(384, (3, 1)))),
        chain(avg_pool(), conv(192)),
    )


def auxiliary_classifier():
    """The auxiliary head before its logits, on 17x17 (TF-Slim inception_v3.py)."""
    return chain(
        avg_pool(5, 3, VALID, clip=True),
        conv(128),
        conv(768, 5, 1, VALID, clip=True, stddev=0.01),
    )
