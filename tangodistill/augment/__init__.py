"""Transfer sets: variants of the training texts, by rules or by any of nlpaug's augmenters."""
