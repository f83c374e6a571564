"""Public names that are modules too: on the site `ij.network` is the function.

Griffe resolves the import of `network` from `inception_jax.networks` to the module
`inception_jax.networks.network`, which has the same name.
"""

from griffe import Alias, Extension


class PublicNames(Extension):
    """Lets the public name `network` stand for the function in its module."""

    def on_package(self, *, pkg, **_):
        if pkg.name == 'inception_jax':
            function = 'inception_jax.networks.network.network'
            pkg.set_member('network', Alias('network', function, parent=pkg))
