//! What makes a binary a good kubectl plugin: flags, the cluster client, snapshots, printers.

pub mod args;
pub mod cluster;
pub mod duration;
pub mod exit;
pub mod from;
pub mod print;
pub mod progress;
pub mod tls;
