"""A sweep: many trainings of one recipe with other settings, a run folder each, compared on the validation split."""
