"""Digital patients with known truth, from physics and a healthy template."""
