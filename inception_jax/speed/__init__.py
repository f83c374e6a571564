"""How fast the parts are on the machine at hand."""
