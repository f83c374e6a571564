"""Networks as text: tables, differences and notation."""
