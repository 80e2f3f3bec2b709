"""The Microsoft edge: tokens from Entra ID, requests to Graph, and what its answers mean."""
