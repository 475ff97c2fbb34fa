//! A `List` in a file that is closed after every write.

use std::{
    fs::{self, File},
    io::{self, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

const HEAD: &[u8] = b"{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[\n";
const TAIL: &[u8] = b"\n]}\n";

/// How much is collected before it is written.
const BATCH: usize = 64 << 10;

/// The file, and the items that are not in it yet.
pub(super) struct ListFile {
    pub(super) path: PathBuf,
    file: File,
    /// Where the next item goes: at the tail's place.
    end: u64,
    empty: bool,
    pending: Vec<u8>,
}

impl ListFile {
    /// An empty list.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut file = File::create(path)?;
        file.write_all(&[HEAD, TAIL].concat())?;
        Ok(Self { path: path.to_owned(), file, end: HEAD.len() as u64, empty: true, pending: Vec::new() })
    }

    /// Adds an item.
    pub(super) fn push(&mut self, json: &[u8]) -> io::Result<()> {
        if !self.empty {
            self.pending.extend_from_slice(b",\n");
        }
        self.empty = false;
        self.pending.extend_from_slice(json);
        if self.pending.len() >= BATCH { self.flush() } else { Ok(()) }
    }

    /// Writes what is pending over the tail, with a new tail in the same write.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let added = self.pending.len() as u64;
        self.pending.extend_from_slice(TAIL);
        self.file.seek(SeekFrom::Start(self.end))?;
        self.file.write_all(&self.pending)?;
        self.end += added;
        self.pending.clear();
        Ok(())
    }
}
