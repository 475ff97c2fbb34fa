//! What makes a binary a good kubectl plugin: flags, the cluster client, snapshots, printers.

mod app;
pub mod args;
pub mod change;
pub mod cluster;
pub mod complete;
pub mod duration;
pub mod exit;
pub mod from;
mod interrupt;
pub mod nodes;
pub mod print;
pub mod progress;
pub mod question;
pub mod record;
pub mod since;
pub mod tls;

pub use app::{Failure, Plugin, command, main, parse};
