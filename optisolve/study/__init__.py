"""Many runs: suites, their runner, the one loss, statistics, reports, comparisons, ablations."""
