"""Moving scenes: layered images in motion, with the true flow of every target frame."""
