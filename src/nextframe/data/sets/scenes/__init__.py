"""Moving scenes: layered pictures in motion, with the true flow of every target frame."""
