//! The bytes of an input: files where they lie, and one temporary file for what had to be
//! unpacked or converted. Nothing of them is kept in memory.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A stored file's place in the store.
pub(super) type FileId = u32;

/// Where the bytes of a stored file are.
#[derive(Clone, Debug)]
enum Place {
    Path(PathBuf),
    Spool { start: u64 },
}

#[derive(Debug)]
struct Stored {
    name: String,
    place: Place,
    len: u64,
}

#[derive(Debug)]
struct Spool {
    file: File,
    len: u64,
}

/// All files of one input.
#[derive(Debug, Default)]
pub(super) struct Store {
    files: Vec<Stored>,
    spool: Mutex<Option<Spool>>,
    open: Mutex<Option<(FileId, File)>>,
}

impl Store {
    /// Adds a file that stays where it is.
    pub(super) fn add_path(&mut self, name: String, path: PathBuf, len: u64) -> FileId {
        self.add(Stored { name, place: Place::Path(path), len })
    }

    /// Copies `input` to the temporary file, under `name`. A reader that fails leaves what came
    /// before the failure, which is handed back beside the file.
    pub(super) fn add_spooled(
        &mut self,
        name: String,
        input: &mut dyn Read,
    ) -> io::Result<(FileId, Option<io::Error>)> {
        let (start, failure) = self.spool_all(input)?;
        let id = self.add_span(name, start)?;
        Ok((id, failure))
    }

    /// Copies `input` to the end of the temporary file; says where it begins there and what ended
    /// it before its end.
    pub(super) fn spool_all(&self, input: &mut dyn Read) -> io::Result<(u64, Option<io::Error>)> {
        let mut buffer = vec![0; 256 * 1024];
        let start = self.spooled()?;
        loop {
            match input.read(&mut buffer) {
                Ok(0) => return Ok((start, None)),
                Ok(n) => self.spool(buffer.get(..n).unwrap_or_default())?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Ok((start, Some(error))),
            }
        }
    }

    /// Adds what was spooled since `start` as a file; called before there is anything, it is the
    /// file that `close` completes.
    pub(super) fn add_span(&mut self, name: String, start: u64) -> io::Result<FileId> {
        let len = self.spooled()?.saturating_sub(start);
        Ok(self.add(Stored { name, place: Place::Spool { start }, len }))
    }

    /// Adds a part of the temporary file.
    pub(super) fn add_range(&mut self, name: String, start: u64, end: u64) -> FileId {
        self.add(Stored { name, place: Place::Spool { start }, len: end.saturating_sub(start) })
    }

    /// Lets a spooled file reach to the end of the temporary file.
    pub(super) fn close(&mut self, id: FileId) -> io::Result<()> {
        let end = self.spooled()?;
        if let Some(stored) = self.files.get_mut(id as usize)
            && let Place::Spool { start } = stored.place
        {
            stored.len = end.saturating_sub(start);
        }
        Ok(())
    }

    /// How long the temporary file is.
    pub(super) fn spooled(&self) -> io::Result<u64> {
        let mut spool = lock(&self.spool);
        if spool.is_none() {
            *spool = Some(Spool { file: tempfile::tempfile()?, len: 0 });
        }
        Ok(spool.as_ref().map_or(0, |spool| spool.len))
    }

    /// Appends to the temporary file.
    pub(super) fn spool(&self, bytes: &[u8]) -> io::Result<()> {
        self.spooled()?;
        let mut spool = lock(&self.spool);
        let Some(spool) = spool.as_mut() else { return Ok(()) };
        spool.file.seek(SeekFrom::Start(spool.len))?;
        spool.file.write_all(bytes)?;
        spool.len += bytes.len() as u64;
        Ok(())
    }

    /// Adds a small file that was made here.
    pub(super) fn add_text(&mut self, name: String, bytes: &[u8]) -> io::Result<FileId> {
        let start = self.spooled()?;
        self.spool(bytes)?;
        self.add_span(name, start)
    }

    /// The name that messages use.
    pub(super) fn name(&self, id: FileId) -> &str {
        self.files.get(id as usize).map_or("-", |stored| &stored.name)
    }

    /// Length in bytes.
    pub(super) fn len(&self, id: FileId) -> u64 {
        self.files.get(id as usize).map_or(0, |stored| stored.len)
    }

    /// Reads up to `buffer.len()` bytes at `offset`; 0 at the end.
    pub(super) fn read_at(&self, id: FileId, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let stored = self.files.get(id as usize).ok_or_else(|| unknown(id))?;
        let left = usize::try_from(stored.len.saturating_sub(offset)).unwrap_or(usize::MAX).min(buffer.len());
        let Some(buffer) = buffer.get_mut(..left) else { return Ok(0) };
        match &stored.place {
            Place::Spool { start } => {
                let mut spool = lock(&self.spool);
                let Some(spool) = spool.as_mut() else { return Ok(0) };
                spool.file.seek(SeekFrom::Start(start + offset))?;
                spool.file.read(buffer)
            }
            Place::Path(path) => {
                let mut open = lock(&self.open);
                if open.as_ref().is_none_or(|(cached, _)| *cached != id) {
                    *open = Some((id, File::open(path)?));
                }
                let Some((_, file)) = open.as_mut() else { return Ok(0) };
                file.seek(SeekFrom::Start(offset))?;
                file.read(buffer)
            }
        }
    }

    /// Reads exactly `len` bytes at `offset`.
    pub(super) fn read_exact(&self, id: FileId, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        if offset + len as u64 > self.len(id) {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("{} became shorter", self.name(id))));
        }
        let mut bytes = vec![0; len];
        let mut filled = 0;
        while filled < len {
            let Some(rest) = bytes.get_mut(filled..) else { break };
            match self.read_at(id, offset + filled as u64, rest)? {
                0 => {
                    let text = format!("{} became shorter while it was read", self.name(id));
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
                }
                n => filled += n,
            }
        }
        Ok(bytes)
    }

    /// The first `len` bytes, or all of a shorter file.
    pub(super) fn head(&self, id: FileId, len: usize) -> io::Result<Vec<u8>> {
        let len = len.min(usize::try_from(self.len(id)).unwrap_or(usize::MAX));
        self.read_exact(id, 0, len)
    }

    /// A reader over one file that does not hold on to the store's lock.
    pub(super) fn reader(store: &Arc<Self>, id: FileId) -> StoreReader {
        StoreReader { store: Arc::clone(store), id, at: 0 }
    }

    /// A reader that borrows the store.
    pub(super) fn borrow(&self, id: FileId) -> BorrowedReader<'_> {
        BorrowedReader { store: self, id, at: 0 }
    }

    /// The line, from 1, in which `offset` lies.
    pub(super) fn line(&self, id: FileId, offset: u64) -> u64 {
        let mut reader = self.borrow(id).take(offset);
        let mut buffer = vec![0; 64 * 1024];
        let mut line = 1;
        while let Ok(n) = reader.read(&mut buffer) {
            if n == 0 {
                break;
            }
            line += memchr::memchr_iter(b'\n', buffer.get(..n).unwrap_or_default()).count() as u64;
        }
        line
    }

    fn add(&mut self, stored: Stored) -> FileId {
        let id = FileId::try_from(self.files.len()).unwrap_or(FileId::MAX);
        self.files.push(stored);
        id
    }
}

fn unknown(id: FileId) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("no file {id} in the input"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads one stored file from its start, sharing the store.
#[derive(Debug)]
pub(super) struct StoreReader {
    store: Arc<Store>,
    id: FileId,
    at: u64,
}

impl Read for StoreReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.store.read_at(self.id, self.at, buffer)?;
        self.at += n as u64;
        Ok(n)
    }
}

/// Reads one stored file from its start, borrowing the store.
#[derive(Debug)]
pub(super) struct BorrowedReader<'a> {
    store: &'a Store,
    id: FileId,
    at: u64,
}

impl Read for BorrowedReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.store.read_at(self.id, self.at, buffer)?;
        self.at += n as u64;
        Ok(n)
    }
}
