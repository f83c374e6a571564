"""From a config file and the command line to checked, typed settings."""
