"""A second opinion on every family: its card's equations in plain loops, parameters nobody tried, attacks on every proof."""
