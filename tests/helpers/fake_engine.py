"""An engine of known answers."""

import numpy as np


class FakeEngine:
    """Knows the logits of each text, and notes the batches that it was asked for."""

    label_names = ("negative", "positive")

    def __init__(self, name, logits, calls):
        self.name, self.known, self.calls = name, logits, calls

    def outputs(self, texts, pairs=None, batch_size=1):
        return np.concatenate([logits for _, logits in self.batches(texts, pairs, batch_size)])

    def batches(self, texts, pairs=None, batch_size=1, pad_to_max=False):
        for start in range(0, len(texts), batch_size):
            rows = np.arange(start, min(start + batch_size, len(texts)))
            self.calls.append((self.name, [texts[row] for row in rows]))
            yield rows, np.array([self.known[texts[row]] for row in rows], np.float32)
