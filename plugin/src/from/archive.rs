//! Archives and compressed files: unpacked into the temporary file, entry by entry.

use std::io::{self, Read};

use super::{input::Intake, store::FileId};

/// Archives inside of archives.
const MAX_NESTED: u32 = 3;
/// Memory that an `.xz` file may ask for; what `xz -9` uses.
const XZ_MEMORY_KIB: u32 = 68 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    Gzip,
    Xz,
    Plain,
}

/// Puts a file among those to be read; of an archive its entries, of a compressed file what is in
/// it. What comes before damage is kept, and the damage is told.
pub(super) fn unpack(intake: &mut Intake, file: FileId, nested: u32) -> io::Result<()> {
    let head = intake.store.head(file, 512)?;
    let packing = if head.starts_with(b"\x1F\x8B\x08") {
        Packing::Gzip
    } else if head.starts_with(b"\xFD7zXZ\0") {
        Packing::Xz
    } else {
        Packing::Plain
    };
    if nested > MAX_NESTED {
        intake.problem(file, None, format!("archives more than {MAX_NESTED} deep in each other are not read"));
        return Ok(());
    }
    let name = intake.store.name(file).to_owned();
    let mut first = vec![0; 512];
    let filled = fill(&mut *open(intake, file, packing), &mut first).unwrap_or(0);
    first.truncate(filled);
    if is_tar(&first) {
        return entries(intake, file, packing, nested);
    }
    if packing == Packing::Plain {
        intake.files.push(file);
        return Ok(());
    }
    let (start, failure) = intake.store.spool_all(&mut *open(intake, file, packing))?;
    let inner = intake.store.add_span(unpacked_name(&name), start)?;
    if let Some(error) = failure {
        intake.problem(file, None, format!("damaged or cut off: {error}; what came before is read"));
    }
    unpack(intake, inner, nested + 1)
}

fn open(intake: &Intake, file: FileId, packing: Packing) -> Box<dyn Read + '_> {
    let raw = io::BufReader::with_capacity(256 * 1024, intake.store.borrow(file));
    match packing {
        Packing::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(raw)),
        Packing::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(raw, true, XZ_MEMORY_KIB)),
        Packing::Plain => Box::new(raw),
    }
}

fn entries(intake: &mut Intake, file: FileId, packing: Packing, nested: u32) -> io::Result<()> {
    let mut found = Vec::new();
    let mut notices = Vec::new();
    let mut failure = None;
    {
        let mut archive = tar::Archive::new(open(intake, file, packing));
        let name = intake.store.name(file);
        for entry in archive.entries()? {
            let mut entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            };
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let path = path.trim_start_matches("./").to_owned();
            let kind = entry.header().entry_type();
            if kind.is_dir() || kind.is_pax_global_extensions() {
                continue;
            }
            if path.starts_with('/') || path.split('/').any(|part| part == "..") {
                notices.push(format!("{name}: {path}: refused, a path inside of an archive may not leave it"));
            } else if kind.is_symlink() || kind.is_hard_link() {
                notices.push(format!("{name}: {path}: a link inside of an archive, not followed"));
            } else if kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse() {
                let size = entry.size();
                let (start, error) = intake.store.spool_all(&mut entry)?;
                let end = intake.store.spooled()?;
                failure = error;
                if failure.is_none() && end - start < size {
                    failure = Some(io::Error::new(io::ErrorKind::UnexpectedEof, format!("it ends inside of {path}")));
                }
                found.push((path, start, end));
                if failure.is_some() {
                    break;
                }
            } else {
                notices.push(format!("{name}: {path}: neither a file nor a folder, skipped"));
            }
        }
    }
    intake.notices.extend(notices);
    if let Some(error) = failure {
        intake.problem(file, None, format!("damaged or cut off: {error}; what came before is read"));
    }
    for (path, start, end) in found {
        // a file that somebody packed with its cover: macOS writes a twin for every entry
        if path.rsplit('/').next().is_some_and(|own| own.starts_with("._")) {
            continue;
        }
        let entry = intake.store.add_range(path, start, end);
        unpack(intake, entry, nested + 1)?;
    }
    Ok(())
}

/// Whether 512 bytes are the header of a tar entry: their checksum says so.
fn is_tar(header: &[u8]) -> bool {
    let Some(field) = header.get(148..156).filter(|_| header.len() == 512) else { return false };
    let text = String::from_utf8_lossy(field);
    let digits = text.trim_matches([' ', '\0']);
    let Ok(stored) = u32::from_str_radix(digits, 8) else { return false };
    let blank = 8 * u32::from(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    let own: u32 = field.iter().map(|byte| u32::from(*byte)).sum();
    sum - own + blank == stored
}

fn fill(input: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match input.read(rest)? {
            0 => break,
            n => filled += n,
        }
    }
    Ok(filled)
}

/// `nodes.json.gz` holds `nodes.json`.
fn unpacked_name(name: &str) -> String {
    let stem = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".xz")).unwrap_or(name);
    stem.to_owned()
}
