"""Subnetwork probing (Miller, Chughtai & Saunders 2024, arXiv 2407.08734)."""
