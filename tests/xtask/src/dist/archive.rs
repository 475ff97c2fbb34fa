//! An archive of one plugin: the same content gives the same bytes.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use flate2::{Compression, GzBuilder, write::GzEncoder};
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};

/// A file that goes into an archive.
pub(crate) struct Entry {
    /// Its name there: no folder, as krew extracts it.
    pub(crate) name: String,
    /// Where it is.
    pub(crate) from: PathBuf,
    /// It can be run.
    pub(crate) executable: bool,
}

/// Writes a gzipped tar of regular files, in the order of their names, without times, owners or names of
/// users: only what is in the files decides about its bytes.
pub(crate) fn write(path: &Path, mut entries: Vec<Entry>) -> io::Result<()> {
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    let zipped = GzBuilder::new().operating_system(255).write(Vec::new(), Compression::default());
    let mut tar = tar::Builder::new(zipped);
    for entry in entries {
        append(&mut tar, &entry)?;
    }
    fs::write(path, tar.into_inner()?.finish()?)
}

fn append(tar: &mut tar::Builder<GzEncoder<Vec<u8>>>, entry: &Entry) -> io::Result<()> {
    let content = fs::read(&entry.from)?;
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    header.set_size(content.len() as u64);
    header.set_mode(if entry.executable { 0o755 } else { 0o644 });
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    tar.append_data(&mut header, &entry.name, content.as_slice())
}

/// The SHA-256 of a file, in lower-case hexadecimal digits.
pub(crate) fn sha256(path: &Path) -> io::Result<String> {
    use std::fmt::Write as _;
    let digest = Sha256::digest(fs::read(path)?);
    Ok(digest.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn the_same_files_give_the_same_bytes_whatever_their_times_and_order() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        let entry =
            |name: &str, from: &Path, executable| Entry { name: name.to_owned(), from: from.into(), executable };
        fs::write(&one, "binary").unwrap();
        fs::write(&two, "licence").unwrap();
        let first = folder.path().join("1.tar.gz");
        write(&first, vec![entry("kubectl-x", &one, true), entry("LICENSE", &two, false)]).unwrap();
        let old = fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH);
        fs::File::options().write(true).open(&one).unwrap().set_times(old).unwrap();
        let second = folder.path().join("2.tar.gz");
        write(&second, vec![entry("LICENSE", &two, false), entry("kubectl-x", &one, true)]).unwrap();
        assert_eq!(sha256(&first).unwrap(), sha256(&second).unwrap());

        let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(fs::File::open(&first).unwrap()));
        let found: Vec<(String, u32, EntryType, String)> = tar
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let mut text = String::new();
                entry.read_to_string(&mut text).unwrap();
                let header = entry.header();
                (entry.path().unwrap().display().to_string(), header.mode().unwrap(), header.entry_type(), text)
            })
            .collect();
        assert_eq!(
            found,
            [
                ("LICENSE".to_owned(), 0o644, EntryType::Regular, "licence".to_owned()),
                ("kubectl-x".to_owned(), 0o755, EntryType::Regular, "binary".to_owned()),
            ]
        );
        fs::write(&one, "another binary").unwrap();
        write(&second, vec![entry("LICENSE", &two, false), entry("kubectl-x", &one, true)]).unwrap();
        assert_ne!(sha256(&first).unwrap(), sha256(&second).unwrap());
    }
}
