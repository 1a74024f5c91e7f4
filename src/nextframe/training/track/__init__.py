"""Where the log of a run goes beside metrics.jsonl: TensorBoard, Weights & Biases, MLflow, or a tracker of a plugin."""
