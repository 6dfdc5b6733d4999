"""What runs a tier, from raw text to its outputs, on whatever library does the arithmetic."""

import os

# before ONNX Runtime is loaded: nothing is sent to its makers, and its sender doesn't hang forked processes as they end
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
