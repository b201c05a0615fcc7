"""Training, evaluation and export of the model; needs the extra `train`."""
