"""Parts that several commands share: options, tables, exit statuses."""
