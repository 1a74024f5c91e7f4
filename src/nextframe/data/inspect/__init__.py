"""What nextframe sees in a data set: a report and sheets of images."""
