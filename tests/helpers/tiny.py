"""A residual network on 16 pixels that compiles in a second: a user's own, by path."""

from inception_jax.networks import chain, conv, network, one, residual, stage

NET = network(
    'tiny',
    one('stem', chain(conv(8, 3, 2), conv(16, 3))),
    stage('a', 2, residual(conv(4), chain(conv(4), conv(4, 3)), scale=0.2)),
    classes=10,
    input_size=16,
)

PLAIN = network(
    'plain',
    one('stem', chain(conv(8, 3, 2), conv(16, 3))),
    classes=10,
    input_size=16,
)
