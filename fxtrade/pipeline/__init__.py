"""From a config to a dataset, a trained model and its forecasts."""
