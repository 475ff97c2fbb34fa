//! A way for connections between two network namespaces: a socket file in between, which no namespace hides.

use std::{
    io,
    net::{Shutdown, TcpListener, TcpStream},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    thread,
};

use crate::Error;

/// Takes connections on this machine's loopback and hands them to the socket file; ends only by a failure.
pub(crate) fn outer(port: u16, socket: &Path) -> Result<(), Error> {
    let address = format!("127.0.0.1:{port}");
    let fault = |e| Error::Other(format!("{address}: {e}"));
    let listener = TcpListener::bind(&address).map_err(fault)?;
    loop {
        let (client, _) = listener.accept().map_err(fault)?;
        let Ok(server) = UnixStream::connect(socket) else { continue };
        let _ = client.set_nodelay(true);
        join(client, server);
    }
}

/// Takes connections at the socket file and hands them to an address; ends only by a failure.
pub(crate) fn inner(socket: &Path, address: &str) -> Result<(), Error> {
    let listener = UnixListener::bind(socket).map_err(Error::file(socket))?;
    loop {
        let (client, _) = listener.accept().map_err(Error::file(socket))?;
        let Ok(server) = TcpStream::connect(address) else { continue };
        let _ = server.set_nodelay(true);
        join(client, server);
    }
}

/// One side of a connection.
trait Side: io::Read + io::Write + Send + Sized + 'static {
    fn again(&self) -> io::Result<Self>;
    fn no_more(&self);
}

impl Side for TcpStream {
    fn again(&self) -> io::Result<Self> {
        self.try_clone()
    }
    fn no_more(&self) {
        // a peer that is gone needs no word
        let _ = self.shutdown(Shutdown::Write);
    }
}

impl Side for UnixStream {
    fn again(&self) -> io::Result<Self> {
        self.try_clone()
    }
    fn no_more(&self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}

/// Copies both ways until both sides are done; the end of one direction is passed on as such.
fn join(a: impl Side, b: impl Side) {
    let (Ok(other_a), Ok(other_b)) = (a.again(), b.again()) else { return };
    thread::spawn(move || copy(a, b));
    thread::spawn(move || copy(other_b, other_a));
}

fn copy(mut from: impl Side, mut to: impl Side) {
    // a peer that is gone ends the copy; there is nobody left to tell
    let _ = io::copy(&mut from, &mut to);
    to.no_more();
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    #[test]
    fn bytes_and_their_end_go_through_both_ways() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap().to_string();
        let path = socket.clone();
        thread::spawn(move || inner(&path, &address));
        let answering = thread::spawn(move || {
            let (mut peer, _) = server.accept().unwrap();
            let mut asked = String::new();
            peer.read_to_string(&mut asked).unwrap();
            peer.write_all(format!("heard {asked}").as_bytes()).unwrap();
        });
        let mut client = loop {
            match UnixStream::connect(&socket) {
                Ok(client) => break client,
                Err(_) => thread::yield_now(),
            }
        };
        client.write_all(b"question").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answering.join().unwrap();
        assert_eq!(answer, "heard question");
    }
}
