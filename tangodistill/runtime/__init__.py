"""Serving: engines that run a tier, and the predictor that runs a cascade of them."""
