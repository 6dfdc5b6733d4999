"""Serving: engines that run a tier, and the predictor that runs a cascade of them."""

import os

# before ONNX Runtime is loaded: nothing is sent to its makers, and its sender doesn't hang forked processes as they end
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
