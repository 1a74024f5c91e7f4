"""What the last frames that are known say of a prediction."""
