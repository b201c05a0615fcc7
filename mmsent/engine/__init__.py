"""What runs the model: prepare → forward → decode."""
