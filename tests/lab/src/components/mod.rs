//! Binaries of the cluster, built from pinned Go modules into a cache or taken from where they are.
