"""What is measured of some models or clips beside the predictions: reconstructions, components, marked areas."""
