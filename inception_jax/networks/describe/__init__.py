"""Networks as text: tables, differences, notation."""
