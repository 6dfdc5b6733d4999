"""What a run shows: figures, one HTML file, and the tracker's log."""
