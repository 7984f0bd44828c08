"""Every metric of every head over a corpus of any size, on all cores or on a cluster."""
