//! `CidrReport` and its kin: the JSON contract.
