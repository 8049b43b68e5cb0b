"""Maps and regions to numbers: ratios, similarity and the report."""
