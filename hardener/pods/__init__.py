"""Pods: what Kubernetes manifests let their containers do, and the security contexts that are written into them."""
