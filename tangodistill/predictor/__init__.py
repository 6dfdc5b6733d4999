"""Serving: a cascade folder, and the predictor that answers by it."""
