"""Signal models and their fits: IVIM, ASL and DSC (numpy, no images)."""
