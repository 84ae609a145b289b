"""Scenarios as data: templates, configs, the judge made from them, their store and change feed."""
