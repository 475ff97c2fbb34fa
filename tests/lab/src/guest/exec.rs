//! Commands in a guest, over its virtio ports: as many at once as there are ports.

use std::{
    ffi::OsStr,
    fs::{File, TryLockError},
    io::{BufRead as _, BufReader, IsTerminal as _, Read as _, Write as _},
    os::unix::{net::UnixStream, process::ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Command, ExitCode, ExitStatus, Output},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::Error;

/// How many commands can run at once.
pub(crate) const PORTS: usize = 4;

/// The socket of one port in a guest's folder.
pub(crate) fn socket(folder: &Path, port: usize) -> PathBuf {
    folder.join(format!("exec{port}.sock"))
}

/// A port that nobody else speaks on while this is held.
#[derive(Debug)]
struct Port {
    stream: UnixStream,
    _lock: File,
}

impl Port {
    /// Takes the first port that is free, waiting for one.
    fn take(folder: &Path) -> Result<Self, Error> {
        loop {
            for port in 0..PORTS {
                let path = folder.join(format!("exec{port}.lock"));
                let lock = File::options().create(true).append(true).open(&path).map_err(Error::file(&path))?;
                match lock.try_lock() {
                    Ok(()) => {
                        let path = socket(folder, port);
                        let stream = UnixStream::connect(&path).map_err(Error::file(path))?;
                        return Ok(Self { stream, _lock: lock });
                    }
                    Err(TryLockError::WouldBlock) => {}
                    Err(TryLockError::Error(e)) => return Err(Error::File(path, e)),
                }
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Runs a command in the guest of this folder to its end; its output whatever its exit code.
pub fn exec<S: AsRef<OsStr>>(folder: &Path, argv: &[S], stdin: &[u8]) -> Result<Output, Error> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let id = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let fault = || Error::file(folder.join("the guest's port"));
    let mut port = Port::take(folder)?;
    // the line before it ends what somebody else may have left half said
    let request = format!("\n{id} {} {}\n", pack(&joined(argv)), pack(stdin));
    port.stream.write_all(request.as_bytes()).map_err(fault())?;
    for line in BufReader::new(&port.stream).lines() {
        // the answer to somebody who went away is not this one's
        if let Some(output) = answer(&line.map_err(fault())?, &id) {
            return output.ok_or_else(|| Error::Other(format!("{}: an answer that is none", folder.display())));
        }
    }
    Err(Error::Other(format!("{}: the guest has ended", folder.display())))
}

/// The answer in this line if it is meant for this request; inside, none when it cannot be read.
#[expect(clippy::option_option, reason = "not mine, mine and broken, mine")]
fn answer(line: &str, id: &str) -> Option<Option<Output>> {
    let mut words = line.trim_end().split(' ');
    if words.next() != Some(id) {
        return None;
    }
    let mut read = || {
        let code: i32 = words.next()?.parse().ok()?;
        let stdout = unpack(words.next()?)?;
        let stderr = unpack(words.next()?)?;
        Some(Output { status: ExitStatus::from_raw(code.checked_shl(8)?), stdout, stderr })
    };
    Some(read())
}

fn joined<S: AsRef<OsStr>>(argv: &[S]) -> Vec<u8> {
    argv.iter().flat_map(|word| word.as_ref().as_encoded_bytes().iter().copied().chain([0])).collect()
}

fn pack(bytes: &[u8]) -> String {
    if bytes.is_empty() { "-".to_owned() } else { STANDARD.encode(bytes) }
}

fn unpack(word: &str) -> Option<Vec<u8>> {
    if word == "-" { Some(Vec::new()) } else { STANDARD.decode(word).ok() }
}

/// The command of this machine that runs `argv` in the guest of this folder, with its stdin, stdout, stderr and
/// exit code.
pub fn command(program: &Path, folder: &Path, argv: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.arg("guest-exec").arg(folder).arg("--").args(argv);
    command
}

/// Runs a command in the guest as if it ran here.
pub fn exec_here(folder: &Path, argv: &[String]) -> Result<ExitCode, Error> {
    let mut input = Vec::new();
    let mut stdin = std::io::stdin();
    if !stdin.is_terminal() {
        stdin.read_to_end(&mut input).map_err(Error::file("stdin"))?;
    }
    let output = exec(folder, argv, &input)?;
    std::io::stdout().write_all(&output.stdout).map_err(Error::file("stdout"))?;
    std::io::stderr().write_all(&output.stderr).map_err(Error::file("stderr"))?;
    let code = output.status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn an_answer_to_somebody_else_is_passed_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = UnixListener::bind(socket(folder.path(), 0)).expect("bound");
        let guest = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("asked");
            let mut lines = BufReader::new(stream.try_clone().expect("cloned")).lines();
            assert_eq!(lines.next().expect("a line").expect("text"), "");
            let request = lines.next().expect("a line").expect("text");
            let words: Vec<&str> = request.split(' ').collect();
            assert_eq!(unpack(words[1]).expect("base64"), b"cat\0a b\0");
            assert_eq!(words[2], "-");
            let answer = format!("rest of a line\n1-1 0 - -\n{} 3 {} -\n", words[0], pack(b"out\n"));
            stream.write_all(answer.as_bytes()).expect("answered");
        });
        let output = exec(folder.path(), &["cat", "a b"], b"").expect("an answer");
        guest.join().expect("the guest");
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(3), b"out\n".as_slice()));
    }

    #[test]
    fn a_guest_that_ends_is_an_error_and_no_wait() {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = UnixListener::bind(socket(folder.path(), 0)).expect("bound");
        let guest = thread::spawn(move || drop(listener.accept()));
        assert!(exec(folder.path(), &["true"], b"").is_err());
        guest.join().expect("the guest");
    }
}
