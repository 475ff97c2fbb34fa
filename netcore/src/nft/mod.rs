//! nftables rule sets, as `nft -j list ruleset` prints them.
