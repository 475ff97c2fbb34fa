//! An API server with a big cluster's objects and no nodes.
