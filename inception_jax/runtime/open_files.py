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
    limit = soft + count
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
