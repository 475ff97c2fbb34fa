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
        join(client, server, TcpStream::try_clone, UnixStream::try_clone, |s, h| s.shutdown(h), |s, h| s.shutdown(h));
    }
}

/// Takes connections at the socket file and hands them to an address; ends only by a failure.
pub(crate) fn inner(socket: &Path, address: &str) -> Result<(), Error> {
    let listener = UnixListener::bind(socket).map_err(Error::file(socket))?;
    loop {
        let (client, _) = listener.accept().map_err(Error::file(socket))?;
        let Ok(server) = TcpStream::connect(address) else { continue };
        let _ = server.set_nodelay(true);
        join(client, server, UnixStream::try_clone, TcpStream::try_clone, |s, h| s.shutdown(h), |s, h| s.shutdown(h));
    }
}

/// Copies both ways until both sides are done; the end of one direction is passed on as such.
fn join<A, B>(
    a: A,
    b: B,
    clone_a: fn(&A) -> io::Result<A>,
    clone_b: fn(&B) -> io::Result<B>,
    shut_a: fn(&A, Shutdown) -> io::Result<()>,
    shut_b: fn(&B, Shutdown) -> io::Result<()>,
) where
    A: io::Read + io::Write + Send + 'static,
    B: io::Read + io::Write + Send + 'static,
{
    let (Ok(mut a2), Ok(mut b2)) = (clone_a(&a), clone_b(&b)) else { return };
    let (mut a, mut b) = (a, b);
    // a peer that is gone ends the copy; there is nobody left to tell
    thread::spawn(move || {
        let _ = io::copy(&mut a, &mut b);
        let _ = shut_b(&b, Shutdown::Write);
    });
    thread::spawn(move || {
        let _ = io::copy(&mut b2, &mut a2);
        let _ = shut_a(&a2, Shutdown::Write);
    });
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
