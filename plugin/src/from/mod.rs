//! What `--from` reads: recordings, dumps, archives and node files behind the same client that
//! talks to an API server.

pub mod recording;
