"""The delay model: training, calibration, artefacts, and the scorer with its reasons."""
