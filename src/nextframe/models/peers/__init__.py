"""Plain eager forms of models, as another would write them from the paper: what speed is measured beside."""
