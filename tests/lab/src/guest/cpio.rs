//! An archive that the kernel unpacks as its first file system: the `newc` kind of cpio, gzipped.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use cpio::newc::{Builder, trailer};
use flate2::{Compression, write::GzEncoder};

use crate::Error;

const FOLDER: u32 = 0o04_0755;
const PROGRAM: u32 = 0o10_0755;
const LINK: u32 = 0o12_0777;

/// An archive while it is written. Paths in it begin at its root, without a leading `/`; each is written once.
pub(crate) struct Archive {
    path: PathBuf,
    out: Option<GzEncoder<BufWriter<File>>>,
    there: BTreeSet<String>,
}

impl Archive {
    /// Begins a file.
    pub(crate) fn create(path: &Path) -> Result<Self, Error> {
        let file = File::create(path).map_err(Error::file(path))?;
        let out = GzEncoder::new(BufWriter::new(file), Compression::fast());
        Ok(Self { path: path.to_owned(), out: Some(out), there: BTreeSet::new() })
    }

    /// Whether something lies there already.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.there.contains(path.trim_start_matches('/'))
    }

    /// A folder, and those above it.
    pub(crate) fn folder(&mut self, path: &str) -> Result<(), Error> {
        let mut above = String::new();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            if !above.is_empty() {
                above.push('/');
            }
            above.push_str(part);
            self.entry(&above, FOLDER, b"")?;
        }
        Ok(())
    }

    /// A file that may be run.
    pub(crate) fn file(&mut self, path: &str, content: &[u8]) -> Result<(), Error> {
        self.above(path)?;
        self.entry(path, PROGRAM, content)
    }

    /// A file of this machine.
    pub(crate) fn copy(&mut self, path: &str, from: &Path) -> Result<(), Error> {
        if self.has(path) {
            return Ok(());
        }
        let content = fs::read(from).map_err(Error::file(from))?;
        self.file(path, &content)
    }

    /// A symbolic link.
    pub(crate) fn link(&mut self, path: &str, to: &str) -> Result<(), Error> {
        self.above(path)?;
        self.entry(path, LINK, to.as_bytes())
    }

    /// Ends the file.
    pub(crate) fn finish(mut self) -> Result<(), Error> {
        let fault = Error::file(&self.path);
        let Some(out) = self.out.take() else { return Ok(()) };
        trailer(out).and_then(GzEncoder::finish).and_then(|mut out| out.flush()).map_err(fault)
    }

    fn above(&mut self, path: &str) -> Result<(), Error> {
        path.trim_start_matches('/').rsplit_once('/').map_or(Ok(()), |(folder, _)| self.folder(folder))
    }

    fn entry(&mut self, path: &str, mode: u32, content: &[u8]) -> Result<(), Error> {
        let path = path.trim_start_matches('/');
        if !self.there.insert(path.to_owned()) {
            return Ok(());
        }
        let Some(out) = self.out.take() else { return Ok(()) };
        let number = u32::try_from(self.there.len()).unwrap_or(u32::MAX);
        let written = put(out, path, mode, number, content);
        self.out = Some(written.map_err(Error::file(&self.path))?);
        Ok(())
    }
}

/// Without a number of its own a file would count as a hard link to every other.
fn put<W: Write>(out: W, path: &str, mode: u32, number: u32, content: &[u8]) -> io::Result<W> {
    let length = u32::try_from(content.len()).map_err(io::Error::other)?;
    let mut file = Builder::new(path).mode(mode).ino(number).nlink(1).write(out, length);
    file.write_all(content)?;
    file.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn what_is_written_is_read_back_by_another_reader() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("initrd");
        let mut archive = Archive::create(&path).expect("created");
        archive.file("/usr/bin/hello", b"#!/bin/sh\n").expect("written");
        archive.file("usr/bin/hello", b"twice").expect("left out");
        archive.link("bin", "usr/bin").expect("linked");
        archive.finish().expect("finished");

        let mut plain = Vec::new();
        let file = File::open(&path).expect("there");
        flate2::read::GzDecoder::new(file).read_to_end(&mut plain).expect("gzip");
        let mut rest = plain.as_slice();
        let mut found = Vec::new();
        loop {
            let mut reader = cpio::newc::Reader::new(rest).expect("an entry");
            if reader.entry().is_trailer() {
                break;
            }
            let mut content = String::new();
            reader.read_to_string(&mut content).expect("text");
            found.push((reader.entry().name().to_owned(), reader.entry().mode(), content));
            rest = reader.finish().expect("the next");
        }
        let text = |name: &str, mode, content: &str| (name.to_owned(), mode, content.to_owned());
        assert_eq!(
            found,
            [
                text("usr", FOLDER, ""),
                text("usr/bin", FOLDER, ""),
                text("usr/bin/hello", PROGRAM, "#!/bin/sh\n"),
                text("bin", LINK, "usr/bin"),
            ]
        );
    }
}
