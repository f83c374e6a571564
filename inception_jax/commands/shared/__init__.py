"""What several commands share: options, tables, exit statuses."""
