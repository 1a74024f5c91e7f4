"""Networks that Keras and TensorFlow saved, read without either."""
