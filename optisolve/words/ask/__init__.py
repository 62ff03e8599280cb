"""Requests in words about a family's metrics, turned into typed goals that are checked and solved."""
