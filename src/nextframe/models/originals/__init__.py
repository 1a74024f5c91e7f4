"""The forms of papers, notebooks and public codes, with their faults: subclasses of the models, one file a source."""
