//! Certificates and kubeconfigs.
