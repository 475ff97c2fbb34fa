//! `--probe-service-range`: asks the API server by creates that it does not keep.
