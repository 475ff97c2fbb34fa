//! Calico's address management as typed facts: pools, blocks, affinities, settings.

mod model;
mod parse;

pub use model::{Allocation, AllocationKind, Block, BlockOwner, Blocks, IpamSettings, Pool, Uses, default_block_size};
pub use parse::{Affinity, affinity, allocation_time, block, is_deleted, pool};
