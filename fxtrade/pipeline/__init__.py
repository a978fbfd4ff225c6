"""The pipeline: dataset, network, training, forecasts and baselines of a config."""
