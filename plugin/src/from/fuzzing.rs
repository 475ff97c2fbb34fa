//! The scanners of `--from` for the fuzz targets, which see no private module.

use std::io::BufReader;

use super::{index::Builder, json, store::Store, yaml};

/// Indexes bytes as JSON; gives how many objects were found.
pub fn scan_json(bytes: &[u8]) -> usize {
    let mut builder = Builder::default();
    let mut store = Store::default();
    let Ok(file) = store.add_text("fuzz".to_owned(), bytes) else { return 0 };
    json::scan(&mut &*bytes, file, &mut builder).objects
}

/// Splits bytes as YAML and decodes each piece; gives how many pieces were understood.
pub fn split_yaml(bytes: &[u8]) -> usize {
    let mut understood = 0;
    let result = yaml::split(&mut BufReader::new(bytes), &mut |piece| {
        understood += usize::from(yaml::parse(&piece).is_ok());
        Ok(())
    });
    result.map_or(0, |()| understood)
}
