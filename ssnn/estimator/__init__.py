"""The network as a scikit-learn classifier."""

from ssnn.estimator.classifier import ShallowNetworkClassifier

__all__ = ["ShallowNetworkClassifier"]
