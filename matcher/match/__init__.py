"""From captures to findings: parts, look-up, corroboration, statistics and publication."""
