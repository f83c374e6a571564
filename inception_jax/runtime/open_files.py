"""The number of files that this process may hold open."""

try:
    import resource
except ImportError:  # Windows has no such limit.
    resource = None


def allow_open_files(count: int) -> None:
    """Raises the soft limit of open files by `count`, as far as the hard limit allows.

    Many systems allow 1,024 files, and a data set may have as many.
    """
    if resource is None:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return
    wanted = soft + count
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
