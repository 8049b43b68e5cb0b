"""Study to rCBV map: model card and weights, preprocessing, inference, provenance."""
